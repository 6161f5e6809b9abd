"""What an opened conversation is in the mailboxes: folder, thread, header fields, keywords, notices."""

from __future__ import annotations

import re
from email.message import EmailMessage

import pytest

from tests.support import region
from tests.support.gateway import Client, TestGateway, eventually, html_of, text_of, words_of
from tests.support.threads import (
    FOLDER,
    Thread,
    attachments,
    open_thread,
    photo,
    reference_in,
)


@pytest.fixture(scope="module")
def thread(served: TestGateway) -> Thread:
    """A request with two photos, answered once by each side."""
    made = open_thread(served, photos=2)
    made.tell(made.expert, "Depuis quand ?")
    made.tell(made.requester, "Six mois.")
    return made


def sides(thread: Thread) -> tuple[Client, Client]:
    return thread.requester, thread.expert


def test_both_sides_get_what_the_expert_asks_for_then_the_question_with_its_photos(thread: Thread) -> None:
    document = region.DERMATOLOGY.documents[0]
    for reader in sides(thread):
        opening, question, *_ = thread.seen_by(reader)
        assert "Éléments demandés par l'expert" in str(opening["subject"])
        assert region.DERMATOLOGY.prerequisites in words_of(opening)
        assert attachments(opening) == {document.filename: document.content}
        assert thread.values["Question"] in words_of(question)
        assert attachments(question) == dict(thread.photos)


def test_the_opening_speaks_in_the_experts_name_and_from_the_services_address(thread: Thread) -> None:
    for reader in sides(thread):
        opening, question, *_ = thread.seen_by(reader)
        for mail, name in ((opening, "Dr Rémy PERRET"), (question, "Dr Claire MARTIN")):
            (address,) = mail["from"].addresses
            assert address.addr_spec == thread.gateway.service
            assert address.display_name == f"{name} (téléexpertise)"


def test_text_and_html_say_the_same(thread: Thread) -> None:
    for mail in thread.seen_by(thread.expert)[:2]:
        plain = re.sub(r"<(?:style|head)\b.*?</(?:style|head)>", " ", html_of(mail), flags=re.DOTALL)
        html = set(re.findall(r"\w{4,}", re.sub(r"<[^>]*>", " ", plain)))
        text = set(re.findall(r"\w{4,}", re.sub(r"<mailto:[^>]*>", " ", text_of(mail))))
        assert text - html <= {"écrivez", "objet"}


def test_the_reply_address_bears_the_reference_and_the_expert(thread: Thread) -> None:
    for reader in sides(thread):
        for mail in thread.seen_by(reader):
            (address,) = mail["reply-to"].addresses
            assert address.display_name == f"{thread.ref} Dr Rémy PERRET"
            local = address.username
            assert local == local.lower()
            assert len(local) <= 64
            assert local.startswith("teleexpertise+")


def test_all_mails_are_one_thread_for_any_client(thread: Thread) -> None:
    for reader in sides(thread):
        first, *others = thread.seen_by(reader)
        assert len(others) >= 3
        assert first["in-reply-to"] is None
        known = [str(first["message-id"])]
        for mail in others:
            references = str(mail["references"]).split()
            assert str(mail["in-reply-to"]).strip() in known
            assert references[0] == known[0]
            assert set(references) <= set(known)
            known.append(str(mail["message-id"]))
        assert len(set(known)) == len(known)


def test_the_header_fields_say_what_each_mail_is(thread: Thread) -> None:
    for reader in sides(thread):
        mails = thread.seen_by(reader)
        assert len({mail["x-tle-id"] for mail in mails}) == 1
        sequence = [int(mail["x-tle-seq"]) for mail in mails]
        assert sequence == sorted(set(sequence))
        events = [mail["x-tle-event"] for mail in mails]
        assert events == ["ouverture", "question", "message", "message"]
        states = [mail["x-tle-state"] for mail in mails]
        assert states == ["requested", "requested", "in_progress", "in_progress"]


def test_the_folder_is_subscribed_on_both_sides(thread: Thread) -> None:
    for reader in sides(thread):
        assert FOLDER in reader.folders()


def notices(client: Client, thread: Thread) -> list[EmailMessage]:
    return [
        mail for mail in client.mails() if thread.ref in str(mail["subject"]) and mail["x-tle-id"] is None
    ]


def test_a_notice_without_patient_data_announces_it_in_the_inbox(thread: Thread) -> None:
    for reader, count in ((thread.expert, 2), (thread.requester, 1)):
        found = eventually(
            lambda reader=reader: [  # type: ignore[misc]
                mail
                for mail in notices(reader, thread)
                if mail["message-id"] != thread.confirmation["message-id"]
            ],
            "a notice",
        )
        eventually(lambda reader=reader, count=count: len(notices(reader, thread)) >= count, "all notices")  # type: ignore[misc]
        for notice in found:
            for view in (words_of(notice), html_of(notice), str(notice["subject"])):
                for secret in (thread.values["Nom de naissance"], "Jeanne", "mollet", "1957", "exérèse"):
                    assert secret not in view
            assert not attachments(notice)


def test_nobody_is_notified_of_what_they_wrote(thread: Thread) -> None:
    thread.gateway.settled()
    # The expert: the request and the second answer; the requester: the first answer, and a confirmation.
    subjects = [str(mail["subject"]) for mail in notices(thread.expert, thread)]
    assert len(subjects) == 2, subjects
    others = [
        m for m in notices(thread.requester, thread) if m["message-id"] != thread.confirmation["message-id"]
    ]
    assert len(others) == 1


def test_the_keywords_follow_the_state(served: TestGateway) -> None:
    thread = open_thread(served)
    thread.reaches("requested")
    thread.tell(thread.expert, "Je regarde.")
    thread.reaches("in_progress")
    thread.finalise(thread.expert)
    thread.reaches("completed")


def test_without_a_mandatory_photo_it_waits_and_each_mail_says_what_for(served: TestGateway) -> None:
    thread = open_thread(served, photos=0)
    wanted = "Vue rapprochée avec règle"
    thread.reaches("on_hold")
    assert wanted in words_of(thread.confirmation)
    opening = thread.wait(thread.requester, "Éléments demandés")
    assert f"[à fournir] {wanted}" in words_of(opening)

    thread.tell(thread.requester, "La photo suit.")
    reminder = thread.wait(thread.requester, lambda mail: mail["x-tle-event"] == "elements-manquants")
    assert wanted in words_of(reminder)
    assert thread.state(thread.requester) == "on_hold"

    thread.tell(thread.requester, "La voici.", photo())
    thread.reaches("requested")


def test_what_the_expert_asked_for_resumes_the_work(served: TestGateway) -> None:
    thread = open_thread(served, photos=0)
    thread.tell(thread.expert, "Il me faut la photographie.")
    assert thread.state(thread.expert) == "on_hold"
    thread.tell(thread.requester, "La voici.", photo())
    thread.reaches("in_progress")


def test_a_guests_words_satisfy_no_prerequisite_but_a_guests_photo_does(served: TestGateway) -> None:
    thread = open_thread(served, photos=0)
    nurse = served.client(region.NURSE)
    invite = thread.requester.reply(thread.question(thread.requester), "Je joins l'infirmière.")
    invite["Cc"] = nurse.address
    thread.requester.send(invite)
    thread.copy_of(nurse, invite)
    nurse.send(nurse.reply(thread.copy_of(nurse, invite), "Je ferai la photo demain."))
    served.settled()
    assert thread.state(thread.requester) == "on_hold"
    message = nurse.reply(thread.copy_of(nurse, invite), "La photo.")
    name, content = photo()
    message.add_attachment(content, maintype="image", subtype="jpeg", filename=name)
    nurse.send(message)
    thread.reaches("requested")


def test_header_fields_of_ours_that_a_user_writes_are_taken_out(served: TestGateway) -> None:
    thread, other = open_thread(served), open_thread(served)
    reply = thread.expert.reply(thread.question(thread.expert), "Avec de faux champs.")
    reply["X-TLE-Id"] = str(other.question(other.expert)["x-tle-id"])
    reply["X-TLE-State"] = "completed"
    reply["X-TLE-Delivery"] = "0" * 32
    reply["X-TLE-Place"] = "INBOX"
    reply["X-TLE-Copy"] = "seen"
    thread.expert.send(reply)
    for reader in sides(thread):
        copy = thread.copy_of(reader, reply)
        assert copy.get_all("x-tle-id") == [str(thread.question(reader)["x-tle-id"])]
        assert copy.get_all("x-tle-state") == ["in_progress"]
        assert len(copy.get_all("x-tle-delivery", [])) == 1
        assert copy.get_all("x-tle-place") is None
    assert thread.copy_of(thread.requester, reply).get_all("x-tle-copy") is None


def test_ordinary_mail_with_our_header_fields_stays_ordinary_mail(served: TestGateway) -> None:
    doctor, stranger = served.client(region.GP), served.client(region.STRANGER)
    mail = doctor.compose(stranger.address, "Un patient commun")
    mail["X-TLE-Id"] = "6f1c2a52-6ab1-4ef0-9c0a-5a3f1f0c7d11"
    mail["X-TLE-Ref"] = "TLE-2026-999999"
    doctor.send(mail)
    got = stranger.wait(lambda found: found["message-id"] == mail["message-id"])
    assert got["x-tle-id"] is None
    assert got["x-tle-ref"] is None


def test_references_count_up(served: TestGateway) -> None:
    first, second = open_thread(served), open_thread(served)
    assert first.ref < second.ref
    assert reference_in(second.question(second.expert)) == second.ref
