"""Answers as mail clients really write them: each a literal text, all must read as the same filled-in form."""
# ruff: noqa: E501, W291 - mails are quoted as they come

from __future__ import annotations

import pytest

from teleexpertise.forms import FormReading, Validation, find_form, read_form, validate
from teleexpertise.letters import Letter
from teleexpertise.plaintext import readable_text
from tests.support.forms import TODAY, sample_request

ID = "abcdefghijklmnopqrstuvwxyz234567abcdefghij"

EXPECTED = {
    "acting": "zoe.martin@cabinet.example",
    "expert": "avis.dermato@ch.example",
    "birth_name": "DUPONT-ÉVRARD",
    "first_names": "Jeanne Marie",
    "birth_date": "1957-02-03",
    "sex": "F",
    "billing_number": "431234567",
    "consent": True,
    "urgency": "72h",
    "phone": "04 71 00 00 00",
    "element_1": "4 mois",
}

THUNDERBIRD_TEXT = """\
Merci de votre aide.

Le 22/11/2026 à 10:38, Téléexpertise a écrit :
> --- DÉBUT DU FORMULAIRE abcdefghijklmnopqrstuvwxyz234567abcdefghij ---
>
> (?) Au choix : Dr Zoé MARTIN (zoe.martin@cabinet.example) ; MSP du
> (?) Velay (msp.velay@cabinet.example).
> Agir en tant que : Dr Zoé MARTIN (zoe.martin@cabinet.example)
>
> Expert : Avis Dermatologie CH LE PUY (avis.dermato@ch.example)
>
> Nom de naissance : DUPONT-ÉVRARD
>
> Prénoms : Jeanne Marie
>
> /!\\ Date de naissance : la date « 31/02/1957 » n'existe pas : attendu
> /!\\ JJ/MM/AAAA.
> Date de naissance (JJ/MM/AAAA) : 03/02/1957
>
> Sexe (F ou M) : F
> NIR ou INS (15 caractères, facultatif) :
>
> Votre numéro de facturation (AM, ou FINESS/spécialité) : 43 1 23456 7
> Consentement du patient (oui ou non) : oui
> Urgence : 48-72 heures
> Téléphone où vous joindre (facultatif) : 04.71.00.00.00
>
> (?) Contexte, antécédents, traitements, et ce que vous demandez à
> (?) l'expert ; plusieurs lignes sont possibles.
> Question : Lésion pigmentée du mollet, 9 mm.
> Faut-il une exérèse ?
>
> Ancienneté de la lésion : 4 mois
>
> --- FIN DU FORMULAIRE ---
>
-- 
Dr Zoé MARTIN
Sexe : M
"""

# The answers stand on lines of their own below each quoted line.
INTERLEAVED = """\
Le 22 novembre 2026 à 10:38:12 CET, Téléexpertise
<teleexpertise@demo.mssante.example> a écrit :

> --- DÉBUT DU FORMULAIRE abcdefghijklmnopqrstuvwxyz234567abcdefghij ---
> Agir en tant que : Dr Zoé MARTIN (zoe.martin@cabinet.example)
> Expert : Avis Dermatologie CH LE PUY (avis.dermato@ch.example)
> Nom de naissance :

DUPONT-ÉVRARD

> Prénoms :
Jeanne
Marie
> Date de naissance (JJ/MM/AAAA) :
3 février 1957
> Sexe (F ou M) :
féminin
> NIR ou INS (15 caractères, facultatif) :
> Votre numéro de facturation (AM, ou FINESS/spécialité) : 430000018
431234567
> Consentement du patient (oui ou non) :
Oui, recueilli ce jour
> Urgence :
48 h
> Téléphone où vous joindre (facultatif) :
0471000000
> Question :
Lésion pigmentée du mollet, 9 mm.
Faut-il une exérèse ?
> Ancienneté de la lésion :
4 mois
> --- FIN DU FORMULAIRE ---
"""

# Nothing is quoted, everything is typed into the original; Outlook doubles the line ends and links addresses.
OUTLOOK_TEXT = """\
Bonjour,

Cordialement,
Dr MARTIN

-----Message d'origine-----
De : Téléexpertise <teleexpertise@demo.mssante.example>\u00a0
Envoyé : dimanche 22 novembre 2026 10:38
À : Dr Zoé MARTIN
Objet : Nouvelle téléexpertise

--- DÉBUT DU FORMULAIRE abcdefghijklmnopqrstuvwxyz234567abcdefghij ---

Agir en tant que\u00a0: Dr Zoé MARTIN (zoe.martin@cabinet.example <mailto:zoe.martin@cabinet.example> )

Expert\u00a0: Avis Dermatologie CH LE PUY (avis.dermato@ch.example <mailto:avis.dermato@ch.example> )

Nom de naissance\u00a0: DUPONT-ÉVRARD

Prénoms\u00a0: Jeanne Marie

Date de naissance (JJ/MM/AAAA)\u00a0: 03/02/1957

Sexe (F ou M)\u00a0: femme

NIR ou INS (15 caractères, facultatif)\u00a0:

Votre numéro de facturation (AM, ou FINESS/spécialité)\u00a0: 431234567

Consentement du patient (oui ou non)\u00a0: OUI

Urgence\u00a0: 48

Téléphone où vous joindre (facultatif)\u00a0: +33 (0)4 71 00 00 00

Question\u00a0: Lésion pigmentée du mollet, 9 mm.

Faut-il une exérèse ?

Ancienneté de la lésion\u00a0: 4 mois

--- FIN DU FORMULAIRE ---
"""

# Top posting: the form copied above and filled in, the original below with other prefilled values.
OUTLOOK_COPIED = """\
--- DÉBUT DU FORMULAIRE abcdefghijklmnopqrstuvwxyz234567abcdefghij ---
Agir en tant que : Dr Zoé MARTIN
Expert : Avis Dermatologie CH LE PUY
Nom de naissance : DUPONT-ÉVRARD
Prénoms : Jeanne Marie
Date de naissance : 3-2-1957
Sexe : F
Votre numéro de facturation : 431234567
Consentement du patient : o
Urgence : 48-72
Téléphone : 04-71-00-00-00
Question : Lésion pigmentée du mollet, 9 mm.
Faut-il une exérèse ?
Ancienneté de la lésion : 4 mois
--- FIN DU FORMULAIRE ---

________________________________
De : Téléexpertise <teleexpertise@demo.mssante.example>
Envoyé : dimanche 22 novembre 2026 10:38
Objet : Nouvelle téléexpertise

--- DÉBUT DU FORMULAIRE abcdefghijklmnopqrstuvwxyz234567abcdefghij ---
Agir en tant que : MSP du Velay (msp.velay@cabinet.example)
Expert : Avis Dermatologie CH LE PUY (avis.dermato@ch.example)
Nom de naissance :
Votre numéro de facturation (AM, ou FINESS/spécialité) : 999999999
--- FIN DU FORMULAIRE ---
"""

APPLE_MAIL = """\
> Le 22 nov. 2026 à 10:38, Téléexpertise <teleexpertise@demo.mssante.example> a écrit :
>\u0020
> --- DÉBUT DU FORMULAIRE ABCDEFGHIJKLMNOPQRSTUVWXYZ234567ABCDEFGHIJ ---
>\u0020
> Agir en tant que : Dr Zoé MARTIN (zoe.martin@cabinet.example)
> Expert : Avis Dermatologie CH LE PUY (avis.dermato@ch.example)
> Nom de naissance\u202f: DUPONT-ÉVRARD
> Pre\u0301noms : Jeanne Marie
> Date de naissance (JJ/MM/AAAA) : 3.2.1957
> Sexe (F ou M) : F
> Votre numéro de facturation (AM, ou FINESS/spécialité) : 431234567
> Consentement du patient (oui ou non) : oui
> Urgence : 72 heures
> Téléphone où vous joindre (facultatif) : (04) 71 00 00 00
> Question : Lésion pigmentée du mollet, 9 mm.
> Faut-il une exérèse ?
> Ancienneté de la lésion : 4 mois
>\u0020
> --- FIN DU FORMULAIRE ---


Envoyé de mon iPhone
"""

# K-9 wraps quoted lines at 72 and marks every piece; bullets and capitals come from a dictation tool.
K9 = """\
Envoyé depuis mon téléphone

-------- Message d'origine --------
De : Téléexpertise <teleexpertise@demo.mssante.example>
Date : 22 nov. 2026

>--- DÉBUT DU FORMULAIRE
>abcdefghijklmnopqrstuvwxyz234567abcdefghij ---
>- AGIR EN TANT QUE : Dr Zoé MARTIN
>(zoe.martin@cabinet.example)
>- EXPERT : Avis Dermatologie CH LE
>PUY (avis.dermato@ch.example)
>- NOM DE NAISSANCE : DUPONT-ÉVRARD
>- PRENOMS : Jeanne
>Marie
>- DATE DE NAISSANCE (JJ/MM/AAAA) : 03021957
>- SEXE (F ou M) : f
>- VOTRE NUMERO DE FACTURATION (AM,
>ou FINESS/spécialité) : 431234567
>- CONSENTEMENT DU
>PATIENT (oui ou non) : oui
>- URGENCE : 48-72
>heures
>- TELEPHONE OU VOUS JOINDRE
>(facultatif) : 04 71 00 00 00
>- QUESTION : Lésion pigmentée du mollet, 9 mm.
>Faut-il une exérèse ?
>- ANCIENNETE DE LA LESION : 4 mois
>--- FIN DU FORMULAIRE ---
"""

# Quoted twice, by signs of two kinds; the wrapped rest of a line lost its sign, and lines were reordered.
WRAPPED_TWICE = """\
> | --- DÉBUT DU FORMULAIRE abcdefghijklmnopqrstuvwxyz234567abcdefghij
> | ---
> | Question : Lésion pigmentée du mollet, 9 mm.
> | Faut-il une exérèse ?
> | Ancienneté de la lésion : 4 mois
> | Urgence : 48-72 heures
> | Consentement du patient (oui ou non) : oui
> | Sexe (F ou M) : F
> | Date de naissance (JJ/MM/AAAA) : 03/02/1957
> | Prénoms : Jeanne Marie
> | Nom de naissance : DUPONT-ÉVRARD
> | Téléphone où vous joindre (facultatif) : 04 71 00 00 00
> | Votre numéro de facturation (AM, ou
FINESS/spécialité) : 431234567
> | Expert ： Avis Dermatologie CH LE PUY (avis.dermato@ch.example)
> | Agir en tant que : Dr Zoé MARTIN (zoe.martin@cabinet.example)
> | --- FIN DU FORMULAIRE ---
"""

FLOWED = """\
> --- DÉBUT DU FORMULAIRE abcdefghijklmnopqrstuvwxyz234567abcdefghij\u0020
> ---
>
> Agir en tant que : Dr Zoé MARTIN (zoe.martin@cabinet.example)
> Expert : Avis Dermatologie CH LE\u0020
> PUY (avis.dermato@ch.example)
> Nom de naissance : DUPONT-ÉVRARD
> Prénoms : Jeanne\u0020
> Marie
> Date de naissance (JJ/MM/AAAA) : 03/02/1957
> Sexe (F ou M) : F
> NIR ou INS (15 caractères, facultatif) :\u0020
> Votre numéro de facturation (AM, ou FINESS/spécialité) : 431234567
> Consentement du patient (oui ou non) : oui
> Urgence : 48-72 heures
> Téléphone où vous joindre (facultatif) : 04 71 00 00 00
> Question : Lésion pigmentée du\u0020
> mollet, 9 mm.
> Faut-il une exérèse ?
> Ancienneté de la lésion : 4 mois
> --- FIN DU FORMULAIRE ---
"""

GMAIL_HTML = """\
<div dir="ltr">Merci.<br></div><br><div class="gmail_quote gmail_quote_container"><div dir="ltr" class="gmail_attr">\
Le dim. 22 nov. 2026 à 10:38, Téléexpertise &lt;<a href="mailto:teleexpertise@demo.mssante.example">\
teleexpertise@demo.mssante.example</a>&gt; a écrit&nbsp;:<br></div>
<blockquote class="gmail_quote" style="margin:0px 0px 0px 0.8ex;border-left:1px solid rgb(204,204,204)">
<div style="color:#767676">--- DÉBUT DU FORMULAIRE abcdefghijklmnopqrstuvwxyz234567abcdefghij ---</div>
<div><br></div>
<div style="color:#5f6b76;font-size:90%">(?) Au choix : Dr Zoé MARTIN (<a href="mailto:zoe.martin@cabinet.example">\
zoe.martin@cabinet.example</a>).</div>
<div>Agir en tant que : Dr Zoé MARTIN (<a href="mailto:zoe.martin@cabinet.example" target="_blank">\
zoe.martin@cabinet.example</a>)</div><div><br></div>
<div>Expert : Avis Dermatologie CH LE PUY (<a href="mailto:avis.dermato@ch.example">avis.dermato@ch.example</a>)</div>
<div>Nom de naissance : <span style="color:rgb(0,0,255)"><b>DUPONT-&Eacute;VRARD</b></span></div>
<div>Prénoms : Jeanne&nbsp;Marie</div>
<div>Date de naissance (JJ/MM/AAAA) :&nbsp;03/02/1957</div>
<div>Sexe (F ou M) :</div></blockquote><div>F</div><blockquote class="gmail_quote">
<div>Votre numéro de facturation (AM, ou FINESS/spécialité) : 431234567</div>
<div>Consentement du patient (oui ou non) : oui</div>
<div>Urgence : 48-72 heures</div>
<div>Téléphone où vous joindre (facultatif) : 0471000000</div>
<div>Question : Lésion pigmentée du mollet, 9&nbsp;mm.<br>Faut-il une exérèse&nbsp;?</div>
<div>Ancienneté de la lésion : 4 mois</div>
<div style="color:#767676">--- FIN DU FORMULAIRE ---</div>
</blockquote></div>
"""

OUTLOOK_HTML = """\
<html xmlns:o="urn:schemas-microsoft-com:office:office"><head><style><!-- p.MsoNormal {margin:0cm} --></style>
<!--[if gte mso 9]><xml><o:shapedefaults v:ext="edit" spidmax="1026" /></xml><![endif]--></head><body lang="FR">
<div class="WordSection1"><p class="MsoNormal">Bonjour,<o:p></o:p></p><p class="MsoNormal"><o:p>&nbsp;</o:p></p>
<div style='border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0cm 0cm 0cm'><p class="MsoNormal"><b>De&nbsp;:</b>\
 Téléexpertise &lt;teleexpertise@demo.mssante.example&gt; <br><b>Envoyé&nbsp;:</b> dimanche 22 novembre 2026 10:38<br>\
<b>Objet&nbsp;:</b> Nouvelle téléexpertise<o:p></o:p></p></div><p class="MsoNormal"><o:p>&nbsp;</o:p></p>
<div><p class="MsoNormal"><span style='color:#767676'>--- DÉBUT DU FORMULAIRE
abcdefghijklmnopqrstuvwxyz234567abcdefghij ---<o:p></o:p></span></p></div>
<div><p class="MsoNormal">Agir en tant que : Dr Zoé MARTIN (<a
href="mailto:zoe.martin@cabinet.example">zoe.martin@cabinet.example</a>)<o:p></o:p></p></div>
<div><p class="MsoNormal">Expert : Avis Dermatologie CH LE PUY (avis.dermato@ch.example)<o:p></o:p></p></div>
<div><p class="MsoNormal">Nom de naissance : DUPONT-ÉVRARD<o:p></o:p></p></div>
<div><p class="MsoNormal">Prénoms : Jeanne
Marie<o:p></o:p></p></div>
<div><p class="MsoNormal">Date de naissance (JJ/MM/AAAA) : 03/02/1957<o:p></o:p></p></div>
<div><p class="MsoNormal">Sexe (F ou M) : F<o:p></o:p></p></div>
<div><p class="MsoNormal">Votre numéro de facturation (AM, ou FINESS/spécialité) : 431234567<o:p></o:p></p></div>
<div><p class="MsoNormal">Consentement du patient (oui ou non) : oui<o:p></o:p></p></div>
<div><p class="MsoNormal">Urgence : 48-72 heures<o:p></o:p></p></div>
<div><p class="MsoNormal">Téléphone où vous joindre (facultatif) : 0471000000<o:p></o:p></p></div>
<div><p class="MsoNormal">Question : Lésion pigmentée du mollet, 9 mm.<o:p></o:p></p><p class="MsoNormal">Faut-il une
exérèse ?<o:p></o:p></p></div>
<div><p class="MsoNormal">Ancienneté de la lésion : 4 mois<o:p></o:p></p></div>
<div><p class="MsoNormal"><span style='color:#767676'>--- FIN DU FORMULAIRE ---<o:p></o:p></span></p></div>
</div></body></html>
"""

ANSWERS = {
    "thunderbird": (Letter("", "", (), text=THUNDERBIRD_TEXT), "Merci de votre aide."),
    "interleaved": (Letter("", "", (), text=INTERLEAVED), ""),
    "outlook text": (Letter("", "", (), text=OUTLOOK_TEXT), "Bonjour,\n\nCordialement,\nDr MARTIN"),
    "outlook copied above": (Letter("", "", (), text=OUTLOOK_COPIED), ""),
    "apple mail": (Letter("", "", (), text=APPLE_MAIL.replace("\n", "\r\n")), ""),
    "k-9": (Letter("", "", (), text=K9), ""),
    "wrapped twice": (Letter("", "", (), text=WRAPPED_TWICE), ""),
    "format=flowed": (Letter("", "", (), text=FLOWED, content_parameters=(("Format", "Flowed"),)), ""),
    "gmail html": (Letter("", "", (), html=GMAIL_HTML), "Merci."),
    "outlook html": (Letter("", "", (), html=OUTLOOK_HTML, text="Message en HTML."), "Bonjour,"),
}


def read(letter: Letter) -> tuple[FormReading, Validation]:
    found = find_form(readable_text(letter))
    assert found is not None
    assert found.form_id == ID
    form = sample_request()
    reading = read_form(form, found)
    return reading, validate(form, reading.values, TODAY)


@pytest.mark.parametrize("client", ANSWERS)
def test_answer_of_every_client_reads_as_the_filled_form(client: str) -> None:
    letter, remark = ANSWERS[client]
    reading, validation = read(letter)
    question = validation.values["question"]
    assert isinstance(question, str)
    assert question.split("\n")[0::len(question.split("\n")) - 1] == [
        "Lésion pigmentée du mollet, 9 mm.", "Faut-il une exérèse ?"
    ]  # fmt: skip
    assert {**validation.values, "question": None} == {**EXPECTED, "question": None}
    assert (reading.problems, reading.warnings, validation.problems, validation.warnings) == ({}, {}, {}, {})
    assert reading.remark == remark
