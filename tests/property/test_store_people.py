"""Whatever an account or an expert is made of comes back from the store as it was."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.store import Store
from teleexpertise.people import Absence, Account, Document, Expert, PrerequisiteItem
from tests.support.store import NOW, database_url

# Lone surrogates and NUL are what no database stores; PlainText replaces them.
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
numbers = st.integers(0, 2**31 - 1)
addresses = st.from_regex(r"[a-z0-9.]{1,20}@[a-z]{1,10}\.mssante\.example", fullmatch=True)


accounts = st.builds(
    Account,
    address=addresses,
    kind=...,
    active=...,
    notice=...,
    files_reports=...,
    **dict.fromkeys(
        (
            *("name", "profession", "specialty", "rpps", "finess", "billing_number"),
            *("organisation", "department", "postcode", "town"),
        ),
        text,
    ),
)
items = st.builds(PrerequisiteItem, name=text, kind=..., mandatory=..., count=numbers)
documents = st.builds(Document, filename=text, content_type=text, content=st.binary(max_size=50))
experts = st.builds(
    Expert,
    account=accounts,
    specialties=st.lists(text, max_size=3).map(tuple),
    departments=st.lists(text, max_size=3).map(tuple),
    delay_days=numbers,
    identity=...,
    nir=...,
    items=st.lists(items, max_size=3).map(tuple),
    documents=st.lists(documents, max_size=3).map(tuple),
    listed=...,
    absence=st.none() | st.builds(Absence, starts=st.dates(), ends=st.dates(), deputy=text),
    **dict.fromkeys(("description", "limits", "prerequisites", "tool_url"), text),
)


@settings(max_examples=25)
@given(experts, experts)
def test_expert_round_trip(first: Expert, second: Expert) -> None:
    async def write_and_read() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with Store.open(database_url(Path(folder))) as store:
                await _write_and_compare(store, first, second)

    asyncio.run(write_and_read())


async def _write_and_compare(store: Store, first: Expert, second: Expert) -> None:
    account = first.account
    async with store.transaction() as tx:
        await tx.accounts.add(account, "hash", NOW)
        await tx.experts.put(first)
    async with store.reading() as tx:
        assert await tx.accounts.get(account.address) == account
        assert await tx.experts.get(account.address) == first
        assert await tx.experts.all() == (first,)
        some = {first.account.address: first} if first.listed and account.active else {}
        assert await tx.experts.some([account.address, "nobody@nowhere.example"]) == some
        assert [one.account for one in await tx.experts.listed()] == [each.account for each in some.values()]
    replaced = Expert(
        account=account,
        **{name: getattr(second, name) for name in Expert.__slots__ if name != "account"},
    )
    async with store.transaction() as tx:
        await tx.experts.put(replaced)
        assert await tx.experts.get(account.address) == replaced
        assert await tx.accounts.get(account.address) == account
