"""Pictures of every kind come into a report upright, in its colours, and without what their files tell."""

import io
import re
from zoneinfo import ZoneInfo

import pytest
from PIL import Image
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)
from pypdf import PdfReader, PdfWriter
from pypdf.generic import StreamObject

from gateway.workers.rasters import PdfPages
from teleexpertise.report.enclosures import MAX_OCTETS, Showing, enclosures
from teleexpertise.report.images import LONGEST_SIDE, MAX_SHEETS, SHEET_SIDE, Picture, printable
from teleexpertise.report.kinds import FileKind, file_kind
from teleexpertise.report.printing import ReportPrinter
from tests.support.pictures import (
    MARK,
    SECRETS,
    dicom,
    document,
    every_kind,
    heic,
    marked,
    opened,
    ramp,
    saved,
    secret_exif,
    swapped_profile,
)
from tests.support.reports import attachment, photo, sample

PRINTER = ReportPrinter(ZoneInfo("Europe/Paris"))
FORMS = ("JPEG", "PNG", "WEBP", "TIFF", "HEIC")


def shown(content: bytes) -> Picture | None:
    kind = file_kind(content)
    return None if kind is None else printable(content, kind)


def one(content: bytes) -> Image.Image:
    picture = shown(content)
    assert picture is not None
    assert len(picture.sheets) == 1
    image = opened(picture.sheets[0])
    assert image.mode == "RGB"
    assert image.format == "JPEG"
    return image


def shade(content: bytes, at: tuple[int, int]) -> int:
    return one(content).convert("L").tobytes()[at[0] + at[1] * one(content).width]


def near(image: Image.Image, at: tuple[int, int], colour: tuple[int, int, int]) -> bool:
    found = image.getpixel(at)
    assert isinstance(found, tuple)
    return all(abs(a - b) < 30 for a, b in zip(found, colour, strict=True))


def written(image: Image.Image, form: str, orientation: int) -> bytes:
    exif = secret_exif(orientation)
    return heic(image, exif=exif.tobytes()) if form == "HEIC" else saved(image, form, exif=exif)


@pytest.mark.parametrize(
    ("form", "orientation"),
    # libheif writes turns, no mirrors.
    [(form, each) for form in FORMS for each in range(1, 9) if form != "HEIC" or each in (1, 3, 6, 8)],
)
def test_every_orientation_is_upright(form: str, orientation: int) -> None:
    """EXIF 2.32 §4.6.4: where row 0 and column 0 of the stored picture are seen."""
    image = one(written(marked(), form, orientation))
    turned = orientation >= 5
    assert image.size == ((80, 120) if turned else (120, 80))
    right, bottom = image.width - 4, image.height - 4
    corner = {
        **dict.fromkeys((1, 5), (3, 3)),
        **dict.fromkeys((2, 6), (right, 3)),
        **dict.fromkeys((3, 7), (right, bottom)),
        **dict.fromkeys((4, 8), (3, bottom)),
    }
    assert near(image, corner[orientation], MARK)
    others = {(3, 3), (right, 3), (right, bottom), (3, bottom)} - {corner[orientation]}
    assert not any(near(image, at, MARK) for at in others)


@pytest.mark.parametrize("form", FORMS)
def test_nothing_that_a_camera_tells_is_printed(form: str) -> None:
    content = written(marked(), form, 1)
    assert b"SecretModel" in content
    pdf = PRINTER.pdf(sample(attachments=(attachment("a", "image/x", content),), exchanges=()))
    (image,) = images_of(pdf)
    for octets in (pdf, image, unpacked(pdf)):
        assert not [secret for secret in (*SECRETS, b"Exif", b"2026:11:22") if secret in octets]


def streams(pdf: bytes) -> list[StreamObject]:
    found = [
        each for each in PdfWriter(clone_from=io.BytesIO(pdf))._objects if isinstance(each, StreamObject)
    ]
    assert found
    return found


def unpacked(pdf: bytes) -> bytes:
    return b"".join(each.get_data() for each in streams(pdf))


def images_of(pdf: bytes) -> list[bytes]:
    return [each._data for each in streams(pdf) if each.get("/Subtype") == "/Image"]


def test_comments_and_xmp_stay_behind() -> None:
    content = saved(marked(), "JPEG", comment=b"SecretMaker", xmp=b"<x>SecretModel</x>", dpi=(72, 72))
    picture = shown(content)
    assert picture is not None
    assert b"Secret" not in picture.sheets[0]
    assert opened(picture.sheets[0]).info.keys() <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_a_large_picture_is_reduced() -> None:
    assert max(one(photo(4000, 3000)).size) == LONGEST_SIDE
    assert max(one(heic(marked(2000, 1000))).size) == LONGEST_SIDE


def test_colours_are_those_of_their_profile() -> None:
    """A picture that is red by its numbers is green by a profile that exchanges both."""
    red = Image.new("RGB", (20, 20), (255, 0, 0))
    for form in ("JPEG", "PNG", "TIFF", "WEBP"):
        content = saved(red, form, icc_profile=swapped_profile())
        assert near(one(content), (9, 9), (0, 255, 0)), form
    # A broken profile, and one of another kind of image, are none.
    assert near(one(saved(red, "PNG", icc_profile=b"\x00" * 200)), (9, 9), (255, 0, 0))
    grey = saved(Image.new("L", (20, 20), 128), "JPEG", icc_profile=swapped_profile())
    assert near(one(grey), (9, 9), (128, 128, 128))


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_printing_colours_become_light(form: str) -> None:
    assert near(one(saved(Image.new("CMYK", (20, 20), (0, 255, 255, 0)), form)), (9, 9), (255, 0, 0))


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_keep_their_tones(form: str) -> None:
    grey = Image.new("I;16", (20, 20), 0x8000)
    assert abs(shade(saved(grey, form), (9, 9)) - 128) < 3


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_every_mode_is_read(mode: str) -> None:
    picture = marked().quantize(4) if mode == "P" else marked(mode=mode)
    image = one(saved(picture, "PNG"))
    assert image.size == (120, 80)
    if mode in ("P", "RGBA"):
        assert near(image, (5, 5), MARK)


@pytest.mark.parametrize("colour", [(255, 0, 0, 0), (0, 0, 0, 0)])
def test_what_shines_through_becomes_paper(colour: tuple[int, int, int, int]) -> None:
    assert one(saved(Image.new("RGBA", (20, 20), colour), "PNG")).getpixel((5, 5)) == (255, 255, 255)
    palette = marked(20, 20).quantize(8)
    palette.paste(1, (0, 0, 20, 20))
    assert one(saved(palette, "PNG", transparency=1)).getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_moment_is_shown(form: str) -> None:
    first, second = Image.new("RGB", (20, 20), "red"), Image.new("RGB", (20, 20), "blue")
    content = saved(first, form, save_all=True, append_images=[second])
    picture = shown(content)
    assert picture is not None
    assert picture.more
    assert near(one(content), (9, 9), (255, 0, 0))


def test_pages_of_a_tiff_are_bounded_and_previews_are_none() -> None:
    pages = [Image.new("L", (300, 400), 20 * number) for number in range(9)]
    picture = shown(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:3]))
    assert picture is not None
    assert (len(picture.sheets), picture.more, picture.document) == (3, False, True)
    picture = shown(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert picture is not None
    assert (len(picture.sheets), picture.more) == (MAX_SHEETS, True)
    small = Image.new("L", (30, 40))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    picture = shown(saved(pages[5], "TIFF", save_all=True, append_images=[small]))
    assert picture is not None
    assert (len(picture.sheets), picture.more, picture.document) == (1, False, False)


def bomb() -> bytes:
    """A small PNG that claims to be 30,000 pixels square."""
    content = bytearray(saved(Image.new("1", (16, 16)), "PNG"))
    content[16:24] = (30_000).to_bytes(4, "big") * 2
    return bytes(content)


def large(form: str) -> bytes:
    """A small file of just too many pixels."""
    return saved(Image.new("1", (9000, 9000)), form, **({"compression": "group4"} if form == "TIFF" else {}))


WHOLE = {
    "jpeg": photo(64, 64),
    "png": saved(marked(), "PNG"),
    "webp": saved(marked(), "WEBP"),
    "tiff": saved(marked(), "TIFF"),
    "heic": heic(marked()),
    "gif": saved(marked(), "GIF"),
    "dicom": dicom(b"\x00" * 600, 30, 20, BitsAllocated=8, BitsStored=8, HighBit=7),
}


@pytest.mark.parametrize("name", list(WHOLE))
def test_a_file_cut_anywhere_is_listed_or_whole(name: str) -> None:
    """No octets make an exception, and what is cut within its pixels is no picture."""
    content = WHOLE[name]
    assert shown(content) is not None
    for part in range(40):
        shown(content[: len(content) * part // 40])
    assert shown(content[: len(content) // 2]) is None


@pytest.mark.parametrize("name", list(WHOLE))
def test_no_altered_octet_makes_an_exception(name: str) -> None:
    content = WHOLE[name]
    for at in range(0, min(len(content), 1200), 9):
        altered = bytearray(content)
        altered[at] ^= 0xFF
        shown(bytes(altered))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GIF89a",
        b"\xff\xd8\xff",
        b"<svg/>",
        bomb(),
        large("PNG"),
        large("TIFF"),
        b"BM, le patient va bien",
    ],
)
def test_a_broken_or_immense_picture_is_no_picture(content: bytes) -> None:
    assert shown(content) is None


def test_tones_without_a_known_white_are_not_guessed() -> None:
    assert shown(saved(Image.new("F", (20, 20), 0.5), "TIFF")) is None
    assert shown(saved(Image.new("I", (20, 20), 70_000), "TIFF")) is None


# DICOM


def test_a_window_gives_the_contrast() -> None:
    """PS3.3 §C.11.2.1.2.1: below the window black, above it white, its centre in the middle."""
    values = [0, 900, 1000, 1100, 4000]
    pixels = ramp([value for value in values for _ in range(16)] * 16)
    content = dicom(pixels, 80, 16, WindowCenter=1000, WindowWidth=200)
    shades = [shade(content, (16 * at + 8, 8)) for at in range(5)]
    assert [abs(a - b) < 4 for a, b in zip(shades, [0, 0, 128, 255, 255], strict=True)] == [True] * 5
    inverse = dicom(
        pixels, 80, 16, WindowCenter=[1000, 5], WindowWidth=[200, 5], PhotometricInterpretation="MONOCHROME1"
    )
    assert shade(inverse, (8, 8)) > 250
    assert shade(inverse, (72, 8)) < 5


def test_signed_values_and_their_scale_are_honoured() -> None:
    """As in a scanner's slice: stored with a sign, meant in Hounsfield units; no window, full range."""
    values = [-1000, 0, 1000]
    pixels = ramp([value for value in values for _ in range(16)] * 16, "<h")
    signed = {"PixelRepresentation": 1, "BitsStored": 16, "HighBit": 15}
    content = dicom(
        pixels, 48, 16, **signed, RescaleSlope=2, RescaleIntercept=-24, WindowCenter=-24, WindowWidth=4001
    )
    assert abs(shade(content, (24, 8)) - 128) < 4
    plain = dicom(pixels, 48, 16, **signed)
    assert [round(shade(plain, (x, 8)) / 128) for x in (8, 24, 40)] == [0, 1, 2]
    # What is outside of the picture does not make the rest grey.
    padded = dicom(pixels, 48, 16, **signed, PixelPaddingValue=-1000)
    assert shade(padded, (24, 8)) < 4


def test_colours_of_dicom() -> None:
    colours = {"SamplesPerPixel": 3, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    image = marked()
    plain = dicom(image.tobytes(), 120, 80, **colours, PhotometricInterpretation="RGB", PlanarConfiguration=0)
    planes = b"".join(band.tobytes() for band in image.split())
    planar = dicom(planes, 120, 80, **colours, PhotometricInterpretation="RGB", PlanarConfiguration=1)
    packed = dicom(
        saved(image, "JPEG", exif=secret_exif(6)), 120, 80, **colours, syntax=JPEGBaseline8Bit,
        PhotometricInterpretation="YBR_FULL_422", PlanarConfiguration=0,
    )  # fmt: skip
    for content in (plain, planar, packed):
        found = one(content)
        assert found.size == (120, 80)
        assert near(found, (5, 5), MARK)
        assert not near(found, (110, 70), MARK)


def test_long_pixels_are_stretched() -> None:
    assert one(dicom(ramp([9] * 600), 30, 20, PixelSpacing=[2.0, 1.0])).size == (30, 40)


GREY = ramp([9] * 600)


@pytest.mark.parametrize(
    "content",
    [
        dicom(GREY, 30, 20, NumberOfFrames=2),
        dicom(GREY * 2, 30, 20, NumberOfFrames=2),
        dicom(GREY[:-2], 30, 20),
        dicom(GREY, 30_000, 20_000),
        dicom(GREY, 30, 20, PhotometricInterpretation="PALETTE COLOR"),
        dicom(GREY, 30, 20, BurnedInAnnotation="YES"),
        dicom(GREY, 30, 20, WindowCenter=5, WindowWidth=0),
        dicom(GREY, 30, 20, WindowCenter=5, WindowWidth=9, VOILUTFunction="ODD"),
        dicom(GREY, 30, 20, BitsAllocated=32),
        dicom(GREY, 30, 20, BitsStored=17),
        dicom(GREY, 30, 20, PixelSpacing=[1000, 0.001]),
        dicom(GREY, 30, 20, syntax=DeflatedExplicitVRLittleEndian),
        dicom(saved(marked(), "JPEG"), 9, 9, syntax=JPEGBaseline8Bit, BitsAllocated=8, BitsStored=8,
              HighBit=7),
    ],
)  # fmt: skip
def test_dicom_that_asks_for_a_guess_is_no_picture(content: bytes) -> None:
    assert file_kind(content) is FileKind.DICOM
    assert shown(content) is None


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless, ExplicitVRBigEndian])
def test_other_transfer_syntaxes_are_no_picture(syntax: str) -> None:
    """The same file but for the name of its syntax."""
    known = b"1.2.840.10008.1.2.1\x00"
    content = dicom(GREY, 30, 20)
    name = syntax.encode() + b"\x00" * (len(syntax) % 2)
    at = content.index(known)
    assert content[at - 2 : at] == len(known).to_bytes(2, "little")
    content = content[: at - 2] + len(name).to_bytes(2, "little") + name + content[at + len(known) :]
    assert shown(content) is None


def test_nobody_is_named_by_a_dicom_picture() -> None:
    content = dicom(GREY, 30, 20)
    assert b"SECRET^PATIENT" in content
    pdf = PRINTER.pdf(sample(attachments=(attachment("a.dcm", "application/dicom", content),), exchanges=()))
    for octets in (pdf, unpacked(pdf)):
        assert not [secret for secret in SECRETS if secret in octets]
    assert len(images_of(pdf)) == 1


# Documents and whole reports


def test_pages_of_a_pdf_are_drawn_and_bounded() -> None:
    picture = PdfPages()(document(2))
    assert picture is not None
    assert (len(picture.sheets), picture.more, picture.document) == (2, False, True)
    tones = [opened(sheet).convert("L").getpixel((100, 100)) for sheet in picture.sheets]
    assert tones == pytest.approx([20, 40], abs=3)
    assert max(opened(picture.sheets[0]).size) == SHEET_SIDE
    picture = PdfPages()(document(9))
    assert picture is not None
    assert (len(picture.sheets), picture.more) == (MAX_SHEETS, True)


@pytest.mark.parametrize("content", [b"%PDF-1.4", document(1, "password"), b"%PDF-1.4\n" + b"<<" * 100_000])
def test_a_pdf_that_cannot_be_drawn_is_listed(content: bytes) -> None:
    assert PdfPages()(content) is None
    piece = attachment("fiche.pdf", "application/pdf", content)
    assert (
        enclosures(sample(attachments=(piece,), exchanges=()), PdfPages())[piece.sha256].showing
        == "unreadable"
    )


def endless_pdf() -> bytes:
    """A form that draws itself over and over: 3 to the power of 40 squares."""
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/Resources<</XObject<</X 5 0 R>>>>>>",
        b"<</Length 5>>stream\n/X Do\nendstream",
    ]
    for number in range(5, 45):
        inner = b"<</XObject<</X %d 0 R>>>>" % (number + 1)
        head = b"<</Type/XObject/Subtype/Form/BBox[0 0 600 800]/Resources%s/Length 17>>" % inner
        objects.append(head + b"stream\n/X Do /X Do /X Do\nendstream")
    objects.append(
        b"<</Type/XObject/Subtype/Form/BBox[0 0 600 800]/Length 19>>stream\n0 0 600 800 re f  \nendstream"
    )
    body = b"".join(b"%d 0 obj%s endobj\n" % (number, each) for number, each in enumerate(objects, 1))
    return b"%PDF-1.4\n" + body + b"trailer<</Root 1 0 R>>\n%%EOF"


def test_a_pdf_without_end_is_given_up() -> None:
    pages = PdfPages(seconds=0.5, together=0.8)
    assert pages(endless_pdf()) is None
    assert pages(endless_pdf()) is None
    # The time of the report is used up: nothing more is begun.
    assert pages(document(1)) is None
    assert PdfPages()(document(1)) is not None


def text_of(pdf: bytes) -> str:
    return re.sub(r"\s+", " ", " ".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages))


def test_a_report_of_every_kind_says_what_it_shows() -> None:
    pieces = tuple(attachment(name, "text/plain", content) for name, content in every_kind().items())
    pdf = PRINTER.pdf(sample(attachments=pieces, exchanges=()), PdfPages())
    text = text_of(pdf)
    for words in (
        "i.jpg (image illisible)",
        "j.pdf (document illisible)",
        "f.pdf (reproduit en annexe, premières pages seulement)",
        "d.tiff (reproduit en annexe)",
        "h.gif (première image seulement)",
        "Annexe 1 : d.tiff",
        "Annexe 2 : f.pdf",
        "f.pdf, page 6 – les pages suivantes ne sont pas reproduites ici",
    ):
        assert words in text, words
    assert len(images_of(pdf)) == 6 + 2 + MAX_SHEETS
    assert not [secret for secret in SECRETS if secret in pdf + unpacked(pdf)]


def test_what_only_claims_to_be_a_document_is_told_as_unreadable() -> None:
    pieces = (
        attachment("vide.pdf", "application/pdf", b""),
        attachment("page.pdf", "application/pdf", b"<html>"),
        attachment("radio.dcm", "application/dicom", b"DICM"),
        attachment("scan.tiff", "image/tiff", b"II"),
    )
    text = text_of(PRINTER.pdf(sample(attachments=pieces, exchanges=()), PdfPages()))
    for words in ("vide.pdf (document illisible)", "page.pdf (document illisible)", "image TIFF", "0 octet "):
        assert words in text, words
    assert "radio.dcm (image illisible)" in text


def test_a_declared_type_changes_nothing() -> None:
    """A picture declared as text is shown, a text declared as a picture is listed."""
    pieces = (
        attachment("a.txt", "text/plain", photo(64, 64)),
        attachment("b.jpg", "image/jpeg", b"du texte"),
        attachment("c.pdf", "application/pdf", saved(marked(), "PNG")),
        attachment("d.doc", "application/msword", b"\xd0\xcf\x11\xe0"),
    )
    found = enclosures(sample(attachments=pieces, exchanges=()), None)
    assert [found[piece.sha256].showing for piece in pieces[:3]] == ["photograph", "unreadable", "photograph"]
    assert pieces[3].sha256 not in found


def test_a_report_stays_small_enough_for_a_mail() -> None:
    noise = saved(Image.effect_noise((960, 720), 200), "JPEG", quality=95)
    # The same picture in files that differ behind its end.
    pieces = tuple(attachment(f"p{n}.jpg", "image/jpeg", noise + bytes([n])) for n in range(40))
    found = enclosures(sample(attachments=pieces, exchanges=()), None)
    shown_ones = [each for each in found.values() if each.showing is Showing.PHOTOGRAPH]
    octets = sum(len(sheet) for each in shown_ones for _, sheet in each.sheets)
    assert 0.8 * MAX_OCTETS < octets <= MAX_OCTETS
    assert {each.showing for each in found.values()} == {Showing.PHOTOGRAPH, Showing.LEFT_OUT}


def test_without_contents_all_are_listed() -> None:
    text = text_of(PRINTER.pdf(sample().listing_only()))
    for name in ("ensemble.jpg", "regle.jpg", "fichue.jpg", "fiche.pdf"):
        assert name in text
    assert "image non reproduite ici" in text
