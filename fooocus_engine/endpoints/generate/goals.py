"""Request and the size of its picture → goal, sizes and strength (image-uov.md §§1, 2). Pure arithmetic, no torch."""

from __future__ import annotations

from fooocus_engine.endpoints.generate.contract import GenerateRequest
from fooocus_engine.endpoints.generate.plan import Enlarge, FromText, Goal, Upscale, Vary
from fooocus_engine.endpoints.generate.sizes import MIN_SIDE
from fooocus_engine.endpoints.generate.upscale_vary import MEANING, UpscaleVaryRequest, Upscaling, Varying
from fooocus_engine.errors import InvalidRequest, Problem
from fooocus_engine.imaging.resize import Size, fitted_size, shape_ceil
from fooocus_engine.output.encode import longest_side
from fooocus_engine.types import Sources

UPSCALE_STRENGTH = 0.382
LEAST_SHAPE, LARGEST_VARIED = 1024, 2048  # see ``imaging.resize.shape_ceil``
LARGEST_DIFFUSED = 2800
NETWORK_FACTOR = 4
MAX_PIXELS = 256_000_000  # of an enlarged picture: twice the largest one taken in, by the sides (decision 0026)
PIXELS_PER_LATENT = 8


def goal_of(request: GenerateRequest, sources: Sources) -> Goal:
    """What ``request`` makes of its ``sources``.

    Raises:
        InvalidRequest: the picture's size does not allow it.
    """
    if not isinstance(request, UpscaleVaryRequest):
        return FromText()
    if sources.image is None:
        raise ValueError("the request's picture has not been taken in")
    size = sources.image.size
    match MEANING[request.uov_method]:
        case Varying():
            goal: Vary | Upscale | Enlarge = Vary(_varied(size))
        case Upscaling(factor=factor, diffused=diffused):
            goal = _upscaled(size, factor or request.upscale_value, diffused=diffused)
    _check(goal, request)
    return goal


def canvas_size(goal: Vary | Upscale) -> Size:
    """The size of what is sampled: an encoded picture has whole latent pixels."""
    width, height = (side // PIXELS_PER_LATENT * PIXELS_PER_LATENT for side in goal.size)
    return width, height


def strength(request: GenerateRequest) -> float:
    """Share of the noise schedule that is run."""
    if not isinstance(request, UpscaleVaryRequest):
        return 1.0
    advanced = request.advanced_params
    match MEANING[request.uov_method]:
        case Varying(strength=own):
            overwritten = advanced.overwrite_vary_strength
        case Upscaling():
            own, overwritten = UPSCALE_STRENGTH, advanced.overwrite_upscale_strength
    return overwritten if overwritten > 0 else own


def _varied(size: Size) -> Size:
    shape = shape_ceil(*size)
    return fitted_size(size, min(max(shape, LEAST_SHAPE), LARGEST_VARIED))


def _upscaled(size: Size, factor: float, *, diffused: bool) -> Upscale | Enlarge:
    width, height = size
    shape = shape_ceil(width * factor, height * factor)
    if shape < LEAST_SHAPE:
        shape, made = LEAST_SHAPE, fitted_size((NETWORK_FACTOR * width, NETWORK_FACTOR * height), LEAST_SHAPE)
    else:
        made = int(width * factor), int(height * factor)
    return Upscale(made) if diffused and shape <= LARGEST_DIFFUSED else Enlarge(made)


def _check(goal: Vary | Upscale | Enlarge, request: UpscaleVaryRequest) -> None:
    width, height = goal.size
    longest = longest_side(request.save_extension)
    if not isinstance(goal, Enlarge) and min(width, height) < MIN_SIDE:
        loc, limit = "input_image", f"both sides need at least {MIN_SIDE}"
    elif width * height > MAX_PIXELS:
        loc, limit = "upscale_value", f"at most {MAX_PIXELS // 10**6} megapixels are allowed"
    elif max(width, height) > longest:
        loc, limit = "save_extension", f"{request.save_extension} holds at most {longest} a side"
    else:
        return
    raise InvalidRequest(
        [Problem("image_size", ("body", loc), f"the result would have {width}x{height} pixels; {limit}")]
    )
