"""What the shipped style templates and word lists promise: names, order, counts, placeholders, clean text.

Knows the 277 legal style names by heart; knows nothing of how they are loaded or applied.
"""

import json
from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[2] / "fooocus_engine" / "prompts" / "data"

FOOOCUS = """
Fooocus Enhance | Fooocus Semi Realistic | Fooocus Sharp | Fooocus Masterpiece | Fooocus Photograph |
Fooocus Negative | Fooocus Cinematic | Fooocus Pony
"""

SAI = """
SAI 3D Model | SAI Analog Film | SAI Anime | SAI Cinematic | SAI Comic Book | SAI Craft Clay | SAI Digital Art |
SAI Enhance | SAI Fantasy Art | SAI Isometric | SAI Line Art | SAI Lowpoly | SAI Neonpunk | SAI Origami |
SAI Photographic | SAI Pixel Art | SAI Texture
"""

MRE = """
MRE Cinematic Dynamic | MRE Spontaneous Picture | MRE Artistic Vision | MRE Dark Dream | MRE Gloomy Art |
MRE Bad Dream | MRE Underground | MRE Surreal Painting | MRE Dynamic Illustration | MRE Undead Art |
MRE Elemental Art | MRE Space Art | MRE Ancient Illustration | MRE Brave Art | MRE Heroic Fantasy |
MRE Dark Cyberpunk | MRE Lyrical Geometry | MRE Sumi E Symbolic | MRE Sumi E Detailed | MRE Manga | MRE Anime |
MRE Comic
"""

TWRI = """
Ads Advertising | Ads Automotive | Ads Corporate | Ads Fashion Editorial | Ads Food Photography |
Ads Gourmet Food Photography | Ads Luxury | Ads Real Estate | Ads Retail | Artstyle Abstract |
Artstyle Abstract Expressionism | Artstyle Art Deco | Artstyle Art Nouveau | Artstyle Constructivist |
Artstyle Cubist | Artstyle Expressionist | Artstyle Graffiti | Artstyle Hyperrealism | Artstyle Impressionist |
Artstyle Pointillism | Artstyle Pop Art | Artstyle Psychedelic | Artstyle Renaissance | Artstyle Steampunk |
Artstyle Surrealist | Artstyle Typography | Artstyle Watercolor | Futuristic Biomechanical |
Futuristic Biomechanical Cyberpunk | Futuristic Cybernetic | Futuristic Cybernetic Robot |
Futuristic Cyberpunk Cityscape | Futuristic Futuristic | Futuristic Retro Cyberpunk | Futuristic Retro Futurism
| Futuristic Sci Fi | Futuristic Vaporwave | Game Bubble Bobble | Game Cyberpunk Game | Game Fighting Game |
Game Gta | Game Mario | Game Minecraft | Game Pokemon | Game Retro Arcade | Game Retro Game |
Game Rpg Fantasy Game | Game Strategy Game | Game Streetfighter | Game Zelda | Misc Architectural | Misc Disco |
Misc Dreamscape | Misc Dystopian | Misc Fairy Tale | Misc Gothic | Misc Grunge | Misc Horror | Misc Kawaii |
Misc Lovecraftian | Misc Macabre | Misc Manga | Misc Metropolis | Misc Minimalist | Misc Monochrome |
Misc Nautical | Misc Space | Misc Stained Glass | Misc Techwear Fashion | Misc Tribal | Misc Zentangle |
Papercraft Collage | Papercraft Flat Papercut | Papercraft Kirigami | Papercraft Paper Mache |
Papercraft Paper Quilling | Papercraft Papercut Collage | Papercraft Papercut Shadow Box |
Papercraft Stacked Papercut | Papercraft Thick Layered Papercut | Photo Alien | Photo Film Noir | Photo Glamour
| Photo Hdr | Photo Iphone Photographic | Photo Long Exposure | Photo Neon Noir | Photo Silhouette |
Photo Tilt Shift
"""

DIVA = """
Cinematic Diva | Abstract Expressionism | Academia | Action Figure | Adorable 3D Character | Adorable Kawaii |
Art Deco | Art Nouveau | Astral Aura | Avant Garde | Baroque | Bauhaus Style Poster |
Blueprint Schematic Drawing | Caricature | Cel Shaded Art | Character Design Sheet | Classicism Art |
Color Field Painting | Colored Pencil Art | Conceptual Art | Constructivism | Cubism | Dadaism | Dark Fantasy |
Dark Moody Atmosphere | Dmt Art Style | Doodle Art | Double Exposure | Dripping Paint Splatter Art |
Expressionism | Faded Polaroid Photo | Fauvism | Flat 2d Art | Fortnite Art Style | Futurism | Glitchcore |
Glo Fi | Googie Art Style | Graffiti Art | Harlem Renaissance Art | High Fashion | Idyllic | Impressionism |
Infographic Drawing | Ink Dripping Drawing | Japanese Ink Drawing | Knolling Photography |
Light Cheery Atmosphere | Logo Design | Luxurious Elegance | Macro Photography | Mandola Art | Marker Drawing |
Medievalism | Minimalism | Neo Baroque | Neo Byzantine | Neo Futurism | Neo Impressionism | Neo Rococo |
Neoclassicism | Op Art | Ornate And Intricate | Pencil Sketch Drawing | Pop Art 2 | Rococo | Silhouette Art |
Simple Vector Art | Sketchup | Steampunk 2 | Surrealism | Suprematism | Terragen | Tranquil Relaxing Atmosphere
| Sticker Designs | Vibrant Rim Light | Volumetric Lighting | Watercolor 2 | Whimsical And Playful
"""

MARC_K3NT3L = """
Mk Chromolithography | Mk Cross Processing Print | Mk Dufaycolor Photograph | Mk Herbarium | Mk Punk Collage |
Mk Mosaic | Mk Van Gogh | Mk Coloring Book | Mk Singer Sargent | Mk Pollock | Mk Basquiat | Mk Andy Warhol |
Mk Halftone Print | Mk Gond Painting | Mk Albumen Print | Mk Aquatint Print | Mk Anthotype Print |
Mk Inuit Carving | Mk Bromoil Print | Mk Calotype Print | Mk Color Sketchnote | Mk Cibulak Porcelain |
Mk Alcohol Ink Art | Mk One Line Art | Mk Blacklight Paint | Mk Carnival Glass | Mk Cyanotype Print |
Mk Cross Stitching | Mk Encaustic Paint | Mk Embroidery | Mk Gyotaku | Mk Luminogram | Mk Lite Brite Art |
Mk Mokume Gane | Pebble Art | Mk Palekh | Mk Suminagashi | Mk Scrimshaw | Mk Shibori | Mk Vitreous Enamel |
Mk Ukiyo E | Mk Vintage Airline Poster | Mk Vintage Travel Poster | Mk Bauhaus Style | Mk Afrofuturism |
Mk Atompunk | Mk Constructivism | Mk Chicano Art | Mk De Stijl | Mk Dayak Art | Mk Fayum Portrait |
Mk Illuminated Manuscript | Mk Kalighat Painting | Mk Madhubani Painting | Mk Pictorialism | Mk Pichwai Painting
| Mk Patachitra Painting | Mk Samoan Art Inspired | Mk Tlingit Art | Mk Adnate Style | Mk Ron English Style |
Mk Shepard Fairey Style
"""

EXPECTED = {
    "fooocus": FOOOCUS,
    "sai": SAI,
    "mre": MRE,
    "twri": TWRI,
    "diva": DIVA,
    "marc_k3nt3l": MARC_K3NT3L,
}
STYLE_COUNTS = {"fooocus": 8, "sai": 17, "mre": 22, "twri": 89, "diva": 79, "marc_k3nt3l": 62}
WITHOUT_PROMPT = {"Fooocus Enhance", "Fooocus Semi Realistic", "Fooocus Negative"}
WITHOUT_NEGATIVE = {"Mk Luminogram", "Mk Tlingit Art"}
WORD_COUNTS = {
    "animal": 100,
    "color": 17,
    "color_flower": 1,
    "extended-color": 147,
    "flower": 250,
    "nationality": 195,
}
FEWEST_ARTISTS = 300


def expected_names(group: str) -> list[str]:
    return [name.strip() for name in EXPECTED[group].replace("\n", " ").split("|") if name.strip()]


def styles_of(group: str) -> list[dict[str, str]]:
    return json.loads((DATA / "styles" / f"sdxl_styles_{group}.json").read_text(encoding="utf-8"))


def all_styles() -> list[dict[str, str]]:
    return [style for group in EXPECTED for style in styles_of(group)]


def text_of(list_name: str) -> str:
    return (DATA / "wildcards" / f"{list_name}.txt").read_bytes().decode("utf-8")


def wildcard_names() -> list[str]:
    return sorted(path.stem for path in (DATA / "wildcards").glob("*.txt"))


def normalised(name: str) -> str:
    """`name` after prompt.md §7.2."""
    words = [word[:1].upper() + word[1:].lower() for word in name.replace("-", " ").split(" ")]
    title = " ".join(words)
    for written, wanted in (("3d", "3D"), ("Sai", "SAI"), ("Mre", "MRE"), ("(s", "(S")):
        title = title.replace(written, wanted)
    return title


@pytest.mark.parametrize("group", EXPECTED)
def test_a_style_file_holds_its_legal_names_in_order(group: str):
    names = [style["name"] for style in styles_of(group)]
    assert names == expected_names(group)
    assert len(names) == STYLE_COUNTS[group]


def test_there_are_277_different_style_names():
    names = [style["name"] for style in all_styles()]
    assert len(names) == len(set(names)) == 277


def test_no_style_file_is_shipped_beyond_the_six():
    assert {path.stem for path in (DATA / "styles").iterdir()} == {f"sdxl_styles_{group}" for group in EXPECTED}


def test_every_style_has_exactly_the_three_text_fields():
    for style in all_styles():
        assert list(style) == ["name", "prompt", "negative_prompt"]
        assert all(isinstance(text, str) for text in style.values())


def test_normalising_leaves_every_style_name_as_it_is():
    for style in all_styles():
        assert normalised(style["name"]) == style["name"]


def test_the_subject_appears_once_in_every_prompt_and_in_no_negative():
    for style in all_styles():
        assert style["prompt"].count("{prompt}") == (style["name"] not in WITHOUT_PROMPT), style["name"]
        assert "{prompt}" not in style["negative_prompt"], style["name"]
        rest = style["prompt"].replace("{prompt}", "") + style["negative_prompt"]
        assert "{" not in rest and "}" not in rest, style["name"]


def test_only_the_three_negative_styles_have_no_prompt():
    assert {style["name"] for style in all_styles() if not style["prompt"]} == WITHOUT_PROMPT


def test_only_two_styles_have_no_negative():
    assert {style["name"] for style in all_styles() if not style["negative_prompt"]} == WITHOUT_NEGATIVE


@pytest.mark.parametrize("field", ["prompt", "negative_prompt"])
def test_no_two_styles_share_a_text(field: str):
    texts = [style[field] for style in all_styles() if style[field]]
    assert len(texts) == len(set(texts))


def test_style_texts_are_single_trimmed_lines_of_plain_ascii():
    for style in all_styles():
        for text in style.values():
            assert text.isascii() and text == text.strip(), style["name"]
            assert len(text.splitlines()) <= 1 and "  " not in text, style["name"]


def test_emphasis_in_style_texts_is_closed():
    for style in all_styles():
        for text in style.values():
            assert text.count("(") == text.count(")"), style["name"]
            assert "[" not in text and "<" not in text, style["name"]


def test_style_texts_are_short_enough_to_leave_room_for_the_subject():
    for style in all_styles():
        words = style["prompt"].replace("{prompt}", "").split()
        assert not words or 12 <= len(words) <= 35, style["name"]
        faults = style["negative_prompt"].split()
        assert not faults or 6 <= len(faults) <= 18, style["name"]


def test_the_shipped_word_lists_are_the_seven_known_ones():
    assert wildcard_names() == sorted([*WORD_COUNTS, "artist"])


@pytest.mark.parametrize("list_name", WORD_COUNTS)
def test_a_word_list_has_its_known_length(list_name: str):
    assert len(text_of(list_name).splitlines()) == WORD_COUNTS[list_name]


def test_the_artist_list_offers_a_wide_choice():
    assert len(text_of("artist").splitlines()) >= FEWEST_ARTISTS


@pytest.mark.parametrize("list_name", [*WORD_COUNTS, "artist"])
def test_a_word_list_is_clean_text_without_duplicates(list_name: str):
    text = text_of(list_name)
    words = text.splitlines()
    assert text.endswith("\n") and "\r" not in text and not text.startswith("\ufeff")
    assert all(word and word == word.strip() for word in words)
    assert not any("\u0300" <= letter <= "\u036f" for letter in text), "an accent that is not composed"
    assert len({word.casefold() for word in words}) == len(words)


def test_every_placeholder_inside_a_word_list_names_another_shipped_list():
    known = set(wildcard_names())
    for list_name in known:
        for word in text_of(list_name).splitlines():
            pieces = word.split("__")
            assert len(pieces) % 2 == 1, word
            assert set(pieces[1::2]) <= known - {list_name}, word


def test_color_flower_joins_a_color_and_a_flower():
    assert text_of("color_flower") == "__color__ __flower__\n"
