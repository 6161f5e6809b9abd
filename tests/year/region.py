"""The people of a year: professionals, services, experts, who may act for whom, and patients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random

from tests.year.numbers import am, finess, ins, rpps
from tests.year.plan import DOMAIN, Adviser, Member, Person, Size

__all__ = ["OUTCOMES", "QUESTIONS", "Region", "make_region"]

#: Department, town, how many of a hundred work there: a region, Corsica and three overseas departments.
_PLACES = (
    ("43", "Le Puy-en-Velay", 22),
    ("63", "Clermont-Ferrand", 20),
    ("42", "Saint-Étienne", 16),
    ("15", "Aurillac", 10),
    ("03", "Moulins", 10),
    ("2A", "Ajaccio", 6),
    ("2B", "Bastia", 5),
    ("974", "Saint-Denis", 5),
    ("972", "Fort-de-France", 4),
    ("976", "Mamoudzou", 2),
)
_PROFESSIONS = (
    ("Médecin généraliste", 50),
    ("Infirmière libérale", 13),
    ("Médecin", 11),
    ("Sage-femme", 6),
    ("Chirurgien-dentiste", 5),
    ("Masseur-kinésithérapeute", 4),
    ("Pédicure-podologue", 3),
    ("Orthophoniste", 3),
    ("Pharmacien", 2),
    ("Orthoptiste", 1),
    ("", 1),
)
#: Specialty, its code in a hospital's billing number, whether its experts demand a picture and take patients
#: without a name.
_SPECIALTIES = (
    ("Dermatologie", "05", True, True),
    ("Cardiologie", "03", False, False),
    ("Plaies et cicatrisation", "05", True, True),
    ("Néphrologie", "35", False, False),
    ("Gériatrie", "34", False, False),
    ("Ophtalmologie", "15", True, False),
    ("Pneumologie", "13", False, True),
    ("Rhumatologie", "14", False, False),
    ("Neurologie", "32", False, False),
    ("Hématologie", "27", False, False),
)
_FIRST = (
    *("Aude", "Basile", "Célie", "Denis", "Elsa", "Fulbert", "Gaëlle", "Honoré", "Inès", "Jules", "Léonie"),
    *("Marceau", "Noémie", "Octave", "Perrine", "Rémy", "Solène", "Tiphaine", "Ulysse", "Zoé", "Jean-Noël"),
)
_SYLLABLES = (
    *("BA", "BRE", "CHA", "DO", "FAR", "GI", "JOU", "LAN", "MER", "NA", "PEY", "QUIN", "RO", "SAU", "TRI"),
    *("VAL", "VER", "ZE", "ÉTRE", "LÈ"),
)
_ENDINGS = ("BAND", "CHON", "DEIX", "GETTE", "LLIER", "MONT", "NAVE", "RON", "SSAC", "TTE", "VIEL", "ZOT")
OUTCOMES = (
    "Prise en charge sur place",
    "Examens complémentaires",
    "Surveillance",
    "Consultation programmée",
    "Consultation rapide",
)
QUESTIONS = (
    "Lésion pigmentée modifiée depuis quatre mois, faut-il une exérèse ?",
    "Fibrillation probable à l'ECG : anticoagulation ?",
    "Plaie du talon depuis six semaines, quel pansement ?",
    "DFG 48 puis 39 en huit mois : adapter le traitement ?",
    "Chutes répétées, bilan à prévoir avant consultation ?",
    "Exacerbation d'asthme : conduite à tenir ?",
)
_SOLO = 0.55
_NO_NUMBER = 0.03
_NO_INS = 0.12


@dataclass(frozen=True, slots=True)
class Region:
    """Who there is; ``askers`` may ask, ``parents`` are numbers on which children are insured."""

    members: tuple[Member, ...]
    advisers: tuple[Adviser, ...]
    delegations: tuple[tuple[str, str], ...]
    patients: tuple[Person, ...]
    askers: tuple[Member, ...]
    parents: tuple[str, ...]
    delegates: Mapping[str, tuple[str, ...]]
    by_address: Mapping[str, Member]


def make_region(chance: Random, size: Size, year: int) -> Region:
    """The people of a year, drawn from ``chance``."""
    made = _Making(chance, year)
    sites = [made.site(number) for number in range(max(4, size.professionals // 12))]
    people = [made.professional(number, sites) for number in range(size.professionals)]
    services = [made.service(number, sites) for number in range(size.experts // 2)]
    entity = made.entity(services[0])
    secretaries = [made.secretary(number, people) for number in range(max(2, size.professionals // 25))]
    alone = [one for one in people if one.profession in ("Médecin", "Médecin généraliste")]
    unusual = [one for one in people if one.profession in ("Sage-femme", "Chirurgien-dentiste")]
    wanted = size.experts - len(services)
    others = min(wanted // 5, len(unusual))
    doctors = min(wanted - others, len(alone))
    private = [*chance.sample(alone, doctors), *chance.sample(unusual, others)]
    experts = [made.adviser(one) for one in (*services, *private)]
    delegations = made.delegations(people, services, entity, secretaries)
    members = (*people, *services, entity, *secretaries)
    patients = made.patients(size.patients)
    return Region(
        members=members,
        advisers=tuple(
            replace(one, tool_url=_TOOL) if n % 12 == 11 else one for n, one in enumerate(experts)
        ),
        delegations=tuple(delegations),
        patients=patients,
        askers=tuple(people),
        parents=tuple(one.ins for one in patients if one.ins and one.birth_date.year < year - 25)[:500],
        delegates=_delegates(delegations, entity.address),
        by_address={one.address: one for one in members},
    )


_TOOL = "https://autre-outil.example/demande"


def _delegates(delegations: list[tuple[str, str]], entity: str) -> dict[str, tuple[str, ...]]:
    """Principal -> who may act for it; whoever names the legal entity names all its delegates (A.44)."""
    direct: dict[str, list[str]] = {}
    for principal, delegate in delegations:
        direct.setdefault(principal, []).append(delegate)
    found = {}
    for principal, names in direct.items():
        rebound = direct.get(entity, []) if entity in names else []
        reached = dict.fromkeys((*names, *rebound))
        found[principal] = tuple(name for name in reached if name not in (principal, entity))
    return found


@dataclass(frozen=True, slots=True)
class _Site:
    department: str
    town: str
    finess: str
    hospital: bool


@dataclass(slots=True)
class _Making:
    chance: Random
    year: int

    def _name(self) -> str:
        chance = self.chance
        return "".join(chance.choice(_SYLLABLES) for _ in range(chance.choice((1, 1, 2)))) + chance.choice(
            _ENDINGS
        )

    def _place(self) -> tuple[str, str]:
        department, town, _ = self.chance.choices(_PLACES, [weight for *_, weight in _PLACES])[0]
        return department, town

    def site(self, number: int) -> _Site:
        """Every third is a hospital, the others are practices of several professions."""
        department, town = self._place()
        return _Site(department, town, finess(department, number), hospital=number % 3 == 0)

    def professional(self, number: int, sites: list[_Site]) -> Member:
        chance = self.chance
        profession = chance.choices([name for name, _ in _PROFESSIONS], [n for _, n in _PROFESSIONS])[0]
        department, town = self._place()
        site = None if chance.random() < _SOLO else chance.choice(sites)
        if site is not None:
            department, town = site.department, site.town
        mine = am(department, number)
        if site is not None and site.hospital:
            mine = f"{site.finess}/{chance.choice(_SPECIALTIES)[1]}"
        name = self._name()
        title = "Dr" if profession.startswith(("Médecin", "Chir")) else "Mme"
        return Member(
            address=f"pro{number:04d}@{DOMAIN}",
            name=f"{title} {chance.choice(_FIRST)} {name}",
            profession=profession,
            specialty=chance.choice(_SPECIALTIES)[0] if profession == "Médecin" else "",
            rpps=rpps(number),
            finess=site.finess if site else "",
            number="" if chance.random() < _NO_NUMBER else mine,
            department=department,
            town=town,
        )

    def service(self, number: int, sites: list[_Site]) -> Member:
        site = self.chance.choice([one for one in sites if one.hospital])
        specialty, code, *_ = _SPECIALTIES[number % len(_SPECIALTIES)]
        return Member(
            address=f"avis{number:02d}@{DOMAIN}",
            name=f"Avis {specialty} CH {site.town.upper()}",
            profession="",
            specialty=specialty,
            finess=site.finess,
            number=f"{site.finess}/{code}",
            organisation=f"CH {site.town}",
            department=site.department,
            town=site.town,
            service=True,
        )

    def entity(self, near: Member) -> Member:
        return Member(
            address=f"coordination@{DOMAIN}",
            name="Coordination territoriale",
            profession="",
            department=near.department,
            town=near.town,
            service=True,
        )

    def secretary(self, number: int, people: list[Member]) -> Member:
        near = people[number % len(people)]
        return Member(
            address=f"secretariat{number:02d}@{DOMAIN}",
            name=f"Mme {self.chance.choice(_FIRST)} {self._name()}",
            profession="Secrétaire",
            department=near.department,
            town=near.town,
        )

    def adviser(self, member: Member) -> Adviser:
        chance = self.chance
        known = {name: (picture, anonymous) for name, _, picture, anonymous in _SPECIALTIES}
        specialty = member.specialty or chance.choice(_SPECIALTIES)[0]
        picture, anonymous = known[specialty]
        return Adviser(
            address=member.address,
            specialty=specialty,
            departments=(member.department,),
            delay_days=chance.choice((1, 2, 3, 5, 7)),
            anonymous=anonymous,
            wants_picture=picture,
        )

    def delegations(
        self, people: list[Member], services: list[Member], entity: Member, secretaries: list[Member]
    ) -> list[tuple[str, str]]:
        """Doctors answer for services, secretaries write for doctors, substitutes for each other, and the
        entity's people for whoever names it.
        """
        chance = self.chance
        doctors = [one for one in people if one.profession.startswith("Médecin")]
        found = []
        for service in services:
            here = [one for one in doctors if one.finess == service.finess] or doctors
            found += [(service.address, one.address) for one in chance.sample(here, min(3, len(here)))]
        for secretary in secretaries:
            found += [
                (one.address, secretary.address) for one in chance.sample(doctors, min(4, len(doctors)))
            ]
        for doctor in chance.sample(doctors, len(doctors) // 6):
            found.append((doctor.address, chance.choice(doctors).address))
        found += [(entity.address, one.address) for one in secretaries[:2]]
        found += [(one.address, entity.address) for one in chance.sample(doctors, max(1, len(doctors) // 20))]
        return [pair for pair in dict.fromkeys(found) if pair[0] != pair[1]]

    def patients(self, count: int) -> tuple[Person, ...]:
        """One identity each, never twice: whoever is entered is recognised beyond doubt."""
        found: dict[tuple[str, str, date], Person] = {}
        last = date(self.year, 1, 1)
        while len(found) < count:
            chance, number = self.chance, len(found)
            sex = chance.choice("FM")
            born = last - timedelta(days=chance.randint(1, 36_000))
            name, first = self._name(), " ".join(chance.sample(_FIRST, chance.choice((1, 2, 3))))
            department, _ = self._place()
            known = "" if chance.random() < _NO_INS else ins(sex, born, department, number)
            person = Person(birth_name=name, first_names=first, birth_date=born, sex=sex, ins=known)
            found.setdefault((name, first, born), person)
        return tuple(found.values())
