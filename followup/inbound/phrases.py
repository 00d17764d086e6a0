"""
What mail programs and people write around their words, by language.

Data only: all lower case, phrases set apart by ``|``.

The seven languages we serve come first, others where a phrase cannot be anything else.
"""

from collections.abc import Mapping

# "… wrote:" of an attribution line.
WROTE = {
    "en": "wrote | writes | sent",
    "de": "schrieb | schreibt | geschrieben",
    "fr": "a écrit | écrit | a ecrit | écrivait",
    "es": "escribió | escribio | escribe",
    "it": "ha scritto | scritto | scrive",
    "nl": "schreef | geschreven | schrijft",
    "pt": "escreveu | escreveu-me",
    "sv da no": "skrev | skreiv",
    "pl cs": "napisał | napisał(a) | napisała | pisze | napsal | napsal(a)",
    "fi hu tr": "kirjoitti | ezt írta | şunu yazdı | yazdı",
    "ru uk": "написал | написал(а) | пишет | написав",
    "vi": "đã viết",
}

# The word before the date in an attribution line.
ON = {
    "en": "on",
    "de": "am | an",
    "fr": "le",
    "es": "el",
    "it": "il | in | nel",
    "nl": "op",
    "pt": "em | a | no",
    "sv da no": "den | på | d.",
    "pl cs": "w | dnia | dne",
    "vi": "vào | lúc",
}

# Labels of the header block that Outlook and others put above the answered mail, by what they name.
LABELS = {
    "from": {
        "en": "from",
        "de": "von",
        "fr es pt": "de",
        "it": "da",
        "nl": "van",
        "sv da no": "från | fra",
        "pl cs": "od",
        "fi": "lähettäjä",
        "ru": "от | от кого",
        "ja zh ko": "差出人 | 发件人 | 寄件者 | 보낸 사람",
    },
    "date": {
        "en": "sent | date | sent on",
        "de": "gesendet | datum | gesendet am",
        "fr": "envoyé | date | envoyé le | message du",
        "es": "enviado | enviado el | fecha",
        "it": "inviato | data",
        "nl": "verzonden | datum",
        "pt": "enviado | enviada | enviado em | enviada em | data",
        "sv da no": "skickat | sendt | dato",
        "pl cs": "wysłano | data | wysłane | odesláno",
        "fi": "lähetetty",
        "ru": "отправлено | дата",
        "ja zh ko": "送信日時 | 日時 | 发送时间 | 日期 | 보낸 날짜",
    },
    "to": {
        "en": "to | cc | reply-to",
        "de": "an | antwort an",
        "fr": "à | a | pour",
        "es pt": "para | responder a",
        "it": "a",
        "nl": "aan",
        "sv da no": "till | til",
        "pl cs": "do | komu",
        "fi": "vastaanottaja",
        "ru": "кому | копия",
        "ja zh ko": "宛先 | 收件人 | 받는 사람",
    },
    "subject": {
        "en": "subject",
        "de": "betreff",
        "fr": "objet | sujet",
        "es": "asunto",
        "it": "oggetto",
        "nl": "onderwerp",
        "pt": "assunto",
        "sv da no": "ämne | emne",
        "pl cs": "temat | předmět",
        "fi": "aihe",
        "ru": "тема",
        "ja zh ko": "件名 | 主题 | 主旨 | 제목",
    },
}

# What stands between the dashes of a divider above the answered mail.
ORIGINAL_MESSAGE = {
    "en": "original message | reply message | original email | original mail | original appointment",
    "de": (
        "ursprüngliche nachricht | originalnachricht | original-nachricht | antwort nachricht | originalmail | "
        "ursprüngliche e-mail | ursprüngliche mail"
    ),
    "fr": "message d'origine | message original | message initial | message d’origine | e-mail d'origine",
    "es": "mensaje original | correo original",
    "it": "messaggio originale | messaggio originario",
    "nl": "oorspronkelijk bericht | origineel bericht | oorspronkelijke bericht",
    "pt": "mensagem original | e-mail original",
    "sv": "ursprungligt meddelande | originalmeddelande",
    "da no": "oprindelig meddelelse | oprindelig besked | opprinnelig melding",
    "pl cs": "wiadomość oryginalna | oryginalna wiadomość | původní zpráva",
    "fi ru": "alkuperäinen viesti | исходное сообщение | пересылаемое сообщение",
}

FORWARDED = {
    "en": "forwarded message | begin forwarded message | forwarded by",
    "de": "weitergeleitete nachricht | anfang der weitergeleiteten nachricht",
    "fr": "message transféré | début du message transféré | message réexpédié",
    "es": "mensaje reenviado | inicio del mensaje reenviado",
    "it": "messaggio inoltrato | inizio messaggio inoltrato",
    "nl": "doorgestuurd bericht | begin doorgestuurd bericht",
    "pt": "mensagem encaminhada | início da mensagem reencaminhada",
}

# How a line begins that a mail app adds by itself.
SENT_FROM = {
    "en": (
        "sent from my | sent from mail | sent from outlook | sent from yahoo | sent from proton | "
        "sent from samsung | sent from gmail | sent with | sent via | get outlook for | sent using | sent from a | "
        "sent from the | sent by | sent from iphone | sent from ipad | sent from surface"
    ),
    "de": (
        "von meinem | gesendet von | gesendet mit | von unterwegs | diese nachricht wurde von meinem | "
        "holen sie sich outlook | gesendet über | gesendet vom"
    ),
    "fr": (
        "envoyé de mon | envoyé depuis | envoyé à partir | envoyé via | télécharger outlook | provenance : | "
        "obtenir outlook | envoyé avec | obtenez outlook"
    ),
    "es": "enviado desde | obtener outlook | enviado con | obtenga outlook",
    "it": "inviato da | scarica outlook | inviato dal | inviato con | ottieni outlook",
    "nl": (
        "verstuurd vanaf | verzonden vanaf | verzonden vanuit | verzonden met | verstuurd vanuit | "
        "outlook voor ios | outlook voor android | verstuurd met | download outlook"
    ),
    "pt": "enviado do meu | enviado do | enviado via | enviado pelo | enviado a partir | obter o outlook",
    "sv da no": "skickat från | sendt fra | skickades från | hämta outlook | hent outlook",
    "pl cs": "wysłane z | wysłano z | odesláno z",
}

# A closing formula, alone on its line or followed by a comma; a name and more may follow.
CLOSING = {
    "en": (
        "regards | best regards | kind regards | warm regards | kindest regards | best | all the best | "
        "best wishes | warmly | sincerely | yours sincerely | yours faithfully | cheers | yours truly | "
        "many regards | with kind regards | with best regards | sincerely yours | rgds | br | kr | warm wishes"
    ),
    "de": (
        "mit freundlichen grüßen | mit freundlichen grüssen | freundliche grüße | viele grüße | liebe grüße | "
        "beste grüße | herzliche grüße | mit besten grüßen | schöne grüße | grüße | gruß | viele grüsse | mfg | "
        "lg | vg | freundliche grüsse | liebe grüsse | mit freundlichem gruß | hochachtungsvoll | lieben gruß | "
        "viele liebe grüße | schönen gruß | beste grüsse | herzlichst | mit lieben grüßen | bg | grüsse"
    ),
    "fr": (
        "cordialement | bien cordialement | salutations | bien à vous | meilleures salutations | amicalement | "
        "sincères salutations | cdlt | cdt | bonne journée | très cordialement | sincèrement | belle journée | "
        "bonne soirée | salutations distinguées"
    ),
    "es": (
        "saludos | un saludo | saludos cordiales | atentamente | cordialmente | un cordial saludo | "
        "cordiales saludos | un abrazo | atte | muchos saludos | saludos atentos"
    ),
    "it": (
        "cordiali saluti | saluti | distinti saluti | un saluto | un cordiale saluto | cordialmente | "
        "buona giornata | a presto | cari saluti | tanti saluti"
    ),
    "nl": (
        "met vriendelijke groet | met vriendelijke groeten | vriendelijke groet | vriendelijke groeten | groet | "
        "groeten | mvg | hartelijke groet | groetjes | met hartelijke groet | hartelijke groeten | gr"
    ),
    "pt": (
        "atenciosamente | cumprimentos | com os melhores cumprimentos | melhores cumprimentos | abraços | "
        "um abraço | att | cordialmente | saudações | com cumprimentos | abraço"
    ),
    "sv da no": (
        "med vänlig hälsning | med vänliga hälsningar | vänliga hälsningar | mvh | hälsningar | kh | "
        "med venlig hilsen | venlig hilsen | hilsen | vh | vennlig hilsen | med vennlig hilsen | de bedste hilsner"
    ),
    "pl": "pozdrawiam | z poważaniem | pozdrowienia | serdecznie pozdrawiam",
}

# Words of thanks end a letter only when a name follows: alone they may be all that someone wants to say.
THANKS = {
    "en": (
        "thanks | thank you | many thanks | thanks again | thx | thanks a lot | thanks so much | "
        "thank you very much | thanks in advance | thanks and regards | thanks and best regards"
    ),
    "de": "danke | vielen dank | danke schön | herzlichen dank | besten dank | vielen dank im voraus",
    "fr": "merci | merci beaucoup | merci d'avance | merci bien",
    "es": "gracias | muchas gracias | mil gracias | gracias de antemano",
    "it": "grazie | grazie mille | grazie in anticipo | molte grazie",
    "nl": "bedankt | dank je | dank u | alvast bedankt | hartelijk dank | dankjewel",
    "pt": "obrigado | obrigada | muito obrigado | muito obrigada | desde já obrigado",
    "sv da no": "tack | tak | takk | tack så mycket",
}


def words(table: Mapping[str, str]) -> frozenset[str]:
    """Return the phrases of all languages in *table*."""
    return frozenset(phrase.strip() for phrases in table.values() for phrase in phrases.split("|"))


def listed(phrases: str) -> tuple[str, ...]:
    """Return the entries of a ``|`` list."""
    return tuple(phrase.strip() for phrase in phrases.split("|"))
