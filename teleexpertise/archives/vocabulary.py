"""The names of the metadata in ebRIM 3.0: schemes, object types, slots (IHE ITI TF-3 §4.2.5)."""

from __future__ import annotations

__all__ = [
    "AUTHOR",
    "CLASSES",
    "CONTENT_TYPE",
    "DOCUMENT_ENTRY",
    "ENTRY_PATIENT_ID",
    "ENTRY_UNIQUE_ID",
    "EVENT_CODE",
    "EXTRA_SLOT",
    "HAS_MEMBER",
    "LCM",
    "RIM",
    "SET_AUTHOR",
    "SET_NODE",
    "SET_PATIENT_ID",
    "SET_SOURCE_ID",
    "SET_UNIQUE_ID",
    "STATUS_APPROVED",
    "uuid_urn",
]

RIM = "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"
LCM = "urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0"


def uuid_urn(number: str) -> str:
    """A UUID as the metadata write it."""
    return f"urn:uuid:{number}"


DOCUMENT_ENTRY = uuid_urn("7edca82f-054d-47f2-a032-9b2a5b5186c1")
STATUS_APPROVED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
HAS_MEMBER = "urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember"
#: The French slot that says that a document replaces (C) or withdraws (D) another.
EXTRA_SLOT = "urn:action:extraMetadataSlot"

SET_NODE = uuid_urn("a54d6aa5-d40d-43f9-88c5-b4633d873bdd")
SET_AUTHOR = uuid_urn("a7058bb9-b4e4-4307-ba5b-e3f0ab85e12d")
CONTENT_TYPE = uuid_urn("aa543740-bdda-424e-8c96-df4873be8500")
SET_PATIENT_ID = uuid_urn("6b5aea1a-874d-4603-a4bc-96a0a7b38446")
SET_SOURCE_ID = uuid_urn("554ac39e-e3fe-47fe-b233-965d2a147832")
SET_UNIQUE_ID = uuid_urn("96fdda7c-d067-4183-912e-bf5ee74998a8")

AUTHOR = uuid_urn("93606bcf-9494-43ec-9b4e-a7748d1a838d")
EVENT_CODE = uuid_urn("2c6b8cb7-8b2a-4051-b291-b1ae6a575ef4")
ENTRY_PATIENT_ID = uuid_urn("58a6f841-87b3-4a3e-92fd-a8ffeff98427")
ENTRY_UNIQUE_ID = uuid_urn("2e82c1f6-a085-4c72-9da3-8640a32e42ab")

#: Fields of an entry that are one code each: our name -> scheme.
CLASSES = {
    "class_code": uuid_urn("41a5887f-8865-4c09-adf7-e362475b143a"),
    "confidentiality": uuid_urn("f4f85eac-e6cb-4883-b524-f2705394840f"),
    "format_code": uuid_urn("a09d5840-386c-46f2-b5ad-9c3699a4309d"),
    "facility": uuid_urn("f33fb8ac-18af-42cc-ae0e-ed0b0bdb91e1"),
    "practice": uuid_urn("cccf5598-8b07-4b77-a05e-ae952c785ead"),
    "type_code": uuid_urn("f0306f51-975f-434e-a61c-c59651d33983"),
}
