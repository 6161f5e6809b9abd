"""``python -m tests.conformity [COUNT]``: reports by the rules of 2022 and 2026, requests of 2022."""

from __future__ import annotations

import sys
import time

from teleexpertise.documents.reading import read_document, read_request
from tests.support.documents import national_faults, report, report_facts, request, small_pdf


def main() -> int:
    """Print each fault and a line of counts; 1 where there was one."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    begun, faults = time.monotonic(), 0
    for n in range(count):
        cda, demand = report(n), request(n)
        said = [
            *national_faults(cda, "tlm-cr-2022"),
            *national_faults(cda, "tlm-cr-2026"),
            *national_faults(demand, "tlm-da-2022"),
        ]
        if read_document(cda).pdf != small_pdf():
            said.append("the body is another PDF")
        if read_document(cda).patient.ins != report_facts(n).patient.ins or read_request(demand).problems:
            said.append("not read back")
        for words in said:
            print(f"{n}: {words}")
        faults += len(said)
    seconds = time.monotonic() - begun
    print(f"{count} conversations, {3 * count} judgements, {faults} faults, {seconds:.0f} s")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
