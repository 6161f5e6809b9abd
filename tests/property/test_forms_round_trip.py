"""Whatever a client does to a form, the values come back; and no text of others can pass for an answer."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from datetime import date

from hypothesis import example, given
from hypothesis import strategies as st

from teleexpertise.forms import (
    FormCopy,
    Value,
    exchange_line,
    find_form,
    read_form,
    render_html,
    render_text,
    validate,
)
from teleexpertise.forms.marks import BEGIN, END, ITEM, without_bullet
from teleexpertise.forms.structure import is_note, match_label
from teleexpertise.identifiers import nir_key
from teleexpertise.letters import Letter
from teleexpertise.plaintext import one_space, readable_text
from tests.support.forms import (
    FORM_ID,
    PRACTICE,
    REQUESTER,
    SERVICE,
    TODAY,
    sample_finalisation,
    sample_request,
)

FORM = sample_request()

word = st.text("abehinéèàç019,.%/'", min_size=1, max_size=12).filter(lambda text: any(map(str.isalnum, text)))
sentence = st.lists(word, min_size=1, max_size=16).map(" ".join)
name = st.lists(st.text("ABÉeiîèç'-", min_size=1, max_size=9).map("D".__add__), min_size=1, max_size=4).map(
    " ".join
)
place = st.sampled_from(["01", "43", "75", "2A", "2B", "97", "99"])
number = st.integers(1, 999)
nir = st.builds(
    "{}{:02}{:02}{}{:03}{:03}".format,
    st.sampled_from("12"), st.integers(0, 99), st.integers(1, 12), place, number, number,
)  # fmt: skip
billing = st.builds("{:09}{}".format, st.integers(1, 999_999_999), st.sampled_from(["", "/05", "/15"]))
values = st.fixed_dictionaries(
    {
        "acting": st.sampled_from([REQUESTER.address, PRACTICE.address]),
        "expert": st.just(SERVICE.address),
        "birth_name": name,
        "first_names": name,
        "birth_date": st.dates(date(1900, 1, 1), TODAY).map(date.isoformat),
        "sex": st.sampled_from("FM"),
        "billing_number": billing,
        "consent": st.just(True),
        "urgency": st.sampled_from(["24h", "72h", "7j", "aucune", "vitale"]),
        "question": st.lists(sentence, min_size=1, max_size=4).map("\n".join),
        "element_1": sentence,
    },
    optional={
        "anonymous": st.just(False),
        "ins": nir.map(lambda body: body + nir_key(body)),
        "phone": st.integers(0, 99).map("04 71 00 00 {:02}".format),
        "element_2": sentence,
    },
)


def answer(text: str) -> dict[str, Value]:
    found = find_form(text)
    assert found is not None
    assert found.form_id == FORM_ID
    reading = read_form(FORM, found)
    assert (reading.problems, reading.warnings) == ({}, {})
    validation = validate(FORM, reading.values, TODAY)
    assert validation.problems == {}
    return dict(validation.values)


def rendered(typed: dict[str, Value]) -> str:
    return render_text(FormCopy(form=FORM, form_id=FORM_ID, values=typed))


def quote(sign: str) -> Callable[[str], str]:
    return lambda text: "\n".join(sign + line for line in text.split("\n"))


def wrap(width: int) -> Callable[[str], str]:
    """Wrap as clients do that know quotations: every piece gets its sign."""

    def wrapped(text: str) -> str:
        lines: list[str] = []
        for line in text.split("\n"):
            body = line.lstrip(">| ")
            sign = line[: len(line) - len(body)]
            lines += textwrap.wrap(
                body, width, initial_indent=sign, subsequent_indent=sign, break_long_words=False,
                break_on_hyphens=False, drop_whitespace=True,
            ) or [line]  # fmt: skip
        return "\n".join(lines)

    return wrapped


def spread(text: str) -> str:
    """Blank lines between all lines, as Outlook makes them of paragraphs."""
    return text.replace("\n", "\n\n")


manglings = st.lists(
    st.one_of(
        st.sampled_from(["> ", ">", "| ", ">> ", " > "]).map(quote),
        st.just(lambda text: text.replace(" :", "\u00a0:")),
        st.just(lambda text: text.replace(" :", "\u202f:\u00a0")),
        st.just(lambda text: text + "\n-- \nDr Zoé MARTIN\nSexe : M\n"),
        st.just(lambda text: "Bonjour,\nvoici ma demande.\n\n" + text),
        st.just(lambda text: "\n".join(line + "  " for line in text.split("\n"))),
    ),
    max_size=4,
)


@given(values, manglings, st.sampled_from(["\n", "\r\n", "\r\r\n"]))
def test_values_survive_quoting_and_signs(
    typed: dict[str, Value], changes: list[Callable[[str], str]], line_end: str
) -> None:
    text = rendered(typed)
    for change in changes:
        text = change(text)
    assert answer(text.replace("\n", line_end)) == typed


@given(values, st.integers(40, 80), st.sampled_from(["", "> ", "> > ", ">>> "]))
def test_values_survive_wrapping(typed: dict[str, Value], width: int, sign: str) -> None:
    def loose(read: dict[str, Value]) -> dict[str, Value]:
        return {**read, "question": str(read["question"]).split()}  # type: ignore[dict-item]

    assert loose(answer(wrap(width)(quote(sign)(rendered(typed))))) == loose(typed)


@given(
    values,
    st.booleans(),
    st.sampled_from(["{}", "<blockquote type=cite>{}</blockquote>", "<p>oui</p>{}<p>-- </p>"]),
)
def test_values_survive_clients_of_html_only(typed: dict[str, Value], no_break: bool, around: str) -> None:
    html = render_html(FormCopy(form=FORM, form_id=FORM_ID, values=typed))
    html = around.format(html.replace("  ", " ").replace(" :", "&nbsp;:") if no_break else html)
    assert answer(readable_text(Letter("", "", (), html=html))) == typed


@given(values, st.randoms(use_true_random=False))
def test_values_survive_reordering_of_the_fields(typed: dict[str, Value], chance: object) -> None:
    begin, *groups, end = rendered(typed).split("\n\n")
    chance.shuffle(groups)  # type: ignore[attr-defined]
    assert answer("\n\n".join([begin, *groups, end])) == typed


@given(values)
def test_values_survive_doubled_line_ends(typed: dict[str, Value]) -> None:
    read = answer(spread(rendered(typed)))
    assert str(read.pop("question")).split() == str(typed["question"]).split()
    assert read == {key: value for key, value in typed.items() if key != "question"}


@given(values, values)
def test_what_is_filled_in_beats_the_quoted_original(
    typed: dict[str, Value], before: dict[str, Value]
) -> None:
    text = rendered(typed) + "\n\n" + quote("> ")(rendered(before))
    assert answer(text) == {**{key: before[key] for key in before if key not in typed}, **typed}


fragment = st.one_of(
    st.sampled_from([
        "[x] 2.", "(x) 3.", "((x)) 3.", "[ ] 1.", "［x］ 2.", "( x ) 2)", "Conclusion :", "Conclusion：x",
        "Suite﹕Suivi", "Suite proposée : Suivi", ":", "Numéro de facturation de l'expert", "-\u00ad-",
        "--- FIN DU FORMULAIRE ---", f"--- DÉBUT DU FORMULAIRE {FORM_ID} ---", "—— FIN DU FORMULAIRE",
        FORM_ID, "/!\\", "(?)", "> ", "| ", "\\", "- ", "\n", "\r\n", "\u2028", "\x0b", "\x85",
        "\u200b", "\u202e",
        "2.", "* ", "<br>", "﹣﹣", "⑴", "a" * 80,
    ]),
    st.text(max_size=12),
)  # fmt: skip
hostile = st.lists(fragment, max_size=14).map(" ".join) | st.lists(fragment, max_size=14).map("".join)


@given(hostile, st.integers(1, 999))
def test_text_of_an_exchange_is_one_bounded_line_without_signs(text: str, number: int) -> None:
    line = exchange_line(number, text)
    assert len(line) <= 170
    assert len(one_space(line).split("\n")) == 1
    assert line.startswith(f"{number}.")
    labels = sample_finalisation().labels()
    # Wherever a client breaks the line, no piece is a sign.
    for start in (0, *(index + 1 for index, letter in enumerate(line) if letter == " ")):
        piece = one_space(line[start:])
        bare = without_bullet(piece)
        assert not any(sign.match(bare) for sign in (BEGIN, END, ITEM))
        assert not is_note(piece)
        assert not piece.startswith((">", "|", "\\"))
        assert match_label(labels, [piece]) is None


@given(
    st.tuples(hostile, hostile, hostile),
    st.integers(40, 76),
    st.sampled_from(["", "> ", "> > "]),
    st.booleans(),
)
@example(("[x] 2. a", "(x) 3. Conclusion :", "--- FIN DU FORMULAIRE ---"), 40, "> ", False)
def test_no_exchange_can_forge_a_mark_a_tick_or_a_label(
    texts: tuple[str, str, str], width: int, sign: str, as_html: bool
) -> None:
    form = sample_finalisation(texts)
    typed: dict[str, Value] = {
        "requester": REQUESTER.address, "expert": SERVICE.address,
        "outcome": "Suivi", "conclusion": "Exérèse.", "exchanges": [1], "addressees": [2],
    }  # fmt: skip
    copy = FormCopy(form=form, form_id=FORM_ID, values=typed)
    text = readable_text(Letter("", "", (), html=render_html(copy))) if as_html else render_text(copy)
    found = find_form(wrap(width)(quote(sign)(text)))
    assert found is not None
    assert (found.form_id, found.complete, len(found.blocks)) == (FORM_ID, True, 1)
    reading = read_form(form, found)
    assert reading.problems == {}
    assert validate(form, reading.values, TODAY).values == typed


shown = st.lists(fragment | st.sampled_from(["Sexe : M", "Nom\nde naissance : X", "Urgence"]), max_size=10)


@given(shown.map("\n".join))
def test_any_answer_shown_again_reads_as_itself(question: str) -> None:
    lines = [line.strip(" ") for line in one_space(question).split("\n")]
    wanted = "\n".join(lines).strip()
    found = find_form(rendered({"question": question}))
    assert found is not None
    assert (found.complete, len(found.blocks)) == (True, 1)
    reading = read_form(FORM, found)
    assert reading.values["question"] == wanted
    assert [key for key, value in reading.values.items() if value] == (["question"] if wanted else [])


@given(
    st.lists(fragment | st.sampled_from([*rendered({}).split("\n")]) | st.text(), max_size=40).map("\n".join)
)
def test_any_text_is_read_without_an_error(text: str) -> None:
    for form in (FORM, sample_finalisation()):
        found = find_form(text)
        if found is not None:
            reading = read_form(form, found, {"question": text})
            validation = validate(form, reading.values, TODAY)
            render_html(
                FormCopy(form=form, form_id=FORM_ID, values=reading.values, problems=validation.problems)
            )


@given(st.dictionaries(st.sampled_from([field.name for field in FORM.fields]), st.text() | st.booleans()))
def test_any_values_are_accepted_or_asked_back(raw: dict[str, Value]) -> None:
    validation = validate(FORM, raw, TODAY)
    assert validate(FORM, {**raw, **validation.values}, TODAY).values == validation.values
