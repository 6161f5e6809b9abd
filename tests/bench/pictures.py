"""``python -m tests.bench.pictures``: a report of 40 photographs of 12 megapixels, as the gateway makes it.

Seconds of the wall clock and the most memory that the printing process held, by the form of the photographs.
Exit 1 where one takes more than 30 s or 1 GB.
"""

from __future__ import annotations

import resource
import sys
import time

from PIL import Image

from gateway.workers.printers import Printers
from gateway.workers.printing import print_report
from tests.support.pictures import heic, saved, secret_exif
from tests.support.reports import attachment, sample

PHOTOGRAPHS = 40
SIZE = (4000, 3000)
GOAL_SECONDS, GOAL_KILOBYTES = 30.0, 1024**2


def photograph() -> Image.Image:
    """Twelve megapixels with shapes and coarse grain: libheif takes minutes to write a finer one."""
    shapes = Image.radial_gradient("L").resize(SIZE)
    grain = Image.effect_noise((SIZE[0] // 4, SIZE[1] // 4), 24).resize(SIZE)
    return Image.merge("RGB", (shapes, Image.blend(shapes, grain, 0.3), shapes))


def photographs(form: str) -> list[bytes]:
    """Files that differ in a few octets behind their picture, so that each is one of its own."""
    exif, image = secret_exif(6), photograph()
    content = heic(image, exif=exif.tobytes()) if form == "HEIC" else saved(image, form, exif=exif)
    return [content + number.to_bytes(2, "big") for number in range(PHOTOGRAPHS)]


def peak() -> int:
    """Kilobytes that this process held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure(form: str) -> bool:
    """Print the figures of one form; whether the goal is reached."""
    files = photographs(form)
    pieces = tuple(attachment(f"{n}.x", "image/x", content) for n, content in enumerate(files))
    printers = Printers(1)
    try:
        printers.submit(peak).result()
        begun = time.monotonic()
        pdf = printers.submit(print_report, sample(attachments=pieces, exchanges=()), "Europe/Paris").result()
        seconds = time.monotonic() - begun
        kilobytes = printers.submit(peak).result()
    finally:
        printers.shutdown()
    print(f"{PHOTOGRAPHS} {form} of 12 MP, {sum(map(len, files)) / 1e6:6.1f} MB: {seconds:6.1f} s, "
          f"{kilobytes / 1024:6.0f} MB held, PDF of {len(pdf) / 1e6:.1f} MB", flush=True)  # fmt: skip
    return seconds < GOAL_SECONDS and kilobytes < GOAL_KILOBYTES


def main() -> int:
    """Print all figures."""
    reached = [measure(form) for form in ("JPEG", "HEIC")]
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
