"""Request and its pictures → goal, sizes and strength (image-uov.md §§1, 2; image-inpaint.md §§1, 3). No torch."""

from __future__ import annotations

from dataclasses import dataclass

from fooocus_engine.endpoints.generate.advanced import LEAST_STRENGTH
from fooocus_engine.endpoints.generate.contract import GenerateRequest
from fooocus_engine.endpoints.generate.inpaint_outpaint import RepaintRequest
from fooocus_engine.endpoints.generate.plan import Enlarge, FromText, Goal, Inpaint, Inspect, Upscale, Vary
from fooocus_engine.endpoints.generate.sizes import MIN_SIDE
from fooocus_engine.endpoints.generate.upscale_vary import MEANING, UpscaleVaryRequest, Upscaling, Varying
from fooocus_engine.errors import InvalidRequest, Problem
from fooocus_engine.imaging.box import interested_box, marked_box, repaints, working_size
from fooocus_engine.imaging.resize import Size, fitted_size, lattice_of, shape_ceil
from fooocus_engine.models.companion import NATIVE_SIDE
from fooocus_engine.output.encode import longest_side
from fooocus_engine.types import PIXELS_PER_LATENT, Sources

UPSCALE_STRENGTH = 0.382
FILLED_ABOVE = 0.99  # strength of an inpaint (image-inpaint.md §4)
NETWORK_FACTOR = 4
MAX_PIXELS = 256_000_000  # of an enlarged picture: twice the largest one taken in, by the sides (decision 0026)


@dataclass(frozen=True)
class Shapes:
    """What a model samples; see ``imaging.resize.shape_ceil``. The reference's are those of SDXL."""

    native: int = NATIVE_SIDE
    """Pictures of this shape are what the model is at home with; smaller ones are never sampled."""

    @property
    def largest_varied(self) -> int:
        """2048 of SDXL."""
        return 2 * self.native

    @property
    def largest_diffused(self) -> int:
        """2800 of SDXL: above it an enlargement is not sampled."""
        return 2800 * self.native // NATIVE_SIDE


SDXL_SHAPES = Shapes()


def goal_of(request: GenerateRequest, sources: Sources, shapes: Shapes = SDXL_SHAPES) -> Goal:
    """What ``request`` makes of its ``sources`` with a model of these ``shapes``.

    Raises:
        InvalidRequest: the picture's size does not allow it, or there is nothing to repaint.
    """
    match request:
        case UpscaleVaryRequest():
            return _upscaled_or_varied(request, sources, shapes)
        case RepaintRequest(input_image=str()):
            return _repainted(request, sources, shapes.native)
        case _:
            return FromText()


def _upscaled_or_varied(request: UpscaleVaryRequest, sources: Sources, shapes: Shapes) -> Goal:
    if sources.image is None:
        raise ValueError("the request's picture has not been taken in")
    size = sources.image.size
    match MEANING[request.uov_method]:
        case Varying():
            goal: Vary | Upscale | Enlarge = Vary(_varied(size, shapes))
        case Upscaling(factor=factor, diffused=diffused):
            goal = _upscaled(size, factor or request.upscale_value, shapes, diffused=diffused)
    if not isinstance(goal, Enlarge):
        _check_sampled(goal.size)
    check_result(goal.size, request, "upscale_value")
    return goal


def _repainted(request: RepaintRequest, sources: Sources, shape: int) -> Goal:
    image, mask, advanced = sources.image, sources.mask, request.advanced_params
    if image is None or mask is None:
        raise ValueError("the request's pictures have not been taken in")
    problems = []
    if not repaints(mask):
        reason = "marks nothing to repaint; a white pixel or an entry of outpaint_selections is needed"
        problems.append(Problem("nothing_to_repaint", ("body", "input_mask"), reason))
    if advanced.inpaint_strength < LEAST_STRENGTH:
        reason = f"must be from {LEAST_STRENGTH} to 1; got {advanced.inpaint_strength}"
        loc = ("body", "advanced_params", "inpaint_strength")
        problems.append(Problem("strength_too_small", loc, reason, advanced.inpaint_strength))
    if problems:
        raise InvalidRequest(problems)
    box = interested_box(marked_box(mask), image.size, advanced.inpaint_respective_field)
    filled = advanced.inpaint_strength > FILLED_ABOVE
    size, empty = working_size(box, shape), advanced.inpaint_disable_initial_latent
    goal = Inpaint(box, size, filled=filled, empty=empty, shape=shape)
    _check_sampled(goal.size)
    return Inspect(goal) if advanced.debugging_inpaint_preprocessor else goal


def canvas_size(goal: Vary | Upscale | Inpaint | Inspect) -> Size:
    """The size of what is sampled: an encoded picture has whole latent pixels."""
    width, height = (side // PIXELS_PER_LATENT * PIXELS_PER_LATENT for side in goal.size)
    return width, height


def strength(request: GenerateRequest) -> float:
    """Share of the noise schedule that is run."""
    advanced = request.advanced_params
    match request:
        case RepaintRequest(input_image=str()):
            return advanced.inpaint_strength
        case UpscaleVaryRequest(uov_method=method):
            match MEANING[method]:
                case Varying(strength=own):
                    overwritten = advanced.overwrite_vary_strength
                case Upscaling():
                    own, overwritten = UPSCALE_STRENGTH, advanced.overwrite_upscale_strength
            return overwritten if overwritten > 0 else own
        case _:
            return 1.0


def _varied(size: Size, shapes: Shapes) -> Size:
    lattice = lattice_of(shapes.native)
    shape = shape_ceil(*size, lattice)
    return fitted_size(size, min(max(shape, shapes.native), shapes.largest_varied), lattice)


def _upscaled(size: Size, factor: float, shapes: Shapes, *, diffused: bool) -> Upscale | Enlarge:
    (width, height), lattice = size, lattice_of(shapes.native)
    shape = shape_ceil(width * factor, height * factor, lattice)
    if shape < shapes.native:
        shape = shapes.native
        made = fitted_size((NETWORK_FACTOR * width, NETWORK_FACTOR * height), shape, lattice)
    else:
        made = int(width * factor), int(height * factor)
    return Upscale(made) if diffused and shape <= shapes.largest_diffused else Enlarge(made)


def check_result(size: Size, request: GenerateRequest, field: str) -> None:
    """Return if pictures of ``size`` can be made and written; ``field`` is what makes them large.

    Raises:
        InvalidRequest: they would be too large.
    """
    width, height = size
    longest = longest_side(request.save_extension)
    if width * height > MAX_PIXELS:
        raise _wrong_size(size, field, f"at most {MAX_PIXELS // 10**6} megapixels are allowed")
    if max(width, height) > longest:
        raise _wrong_size(size, "save_extension", f"{request.save_extension} holds at most {longest} a side")


def _check_sampled(size: Size) -> None:
    if min(size) < MIN_SIDE:
        raise _wrong_size(size, "input_image", f"both sides need at least {MIN_SIDE}")


def _wrong_size(size: Size, field: str, limit: str) -> InvalidRequest:
    width, height = size
    reason = f"the result would have {width}x{height} pixels; {limit}"
    return InvalidRequest([Problem("image_size", ("body", field), reason)])
