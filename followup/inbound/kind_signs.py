"""
The signs by which machines give themselves away, by language. Data only: lower case, set apart by ``|``.

Subjects are matched from their beginning, where a letter's subject line would begin with "Re:".
"""

AUTO_REPLY_SUBJECTS = {
    "en": (
        "automatic reply | auto reply | auto-reply | autoreply | auto response | auto-response | autoresponse | "
        "autorespons | automated reply | automated response | automatic response | out of office | out of the office | "
        "out-of-office | ooo | vacation reply | vacation response | on vacation | away from my mail | i am away | "
        "away from the office | on annual leave | autosvar"
    ),
    "de": (
        "automatische antwort | automatische rückantwort | automatische eingangsbestätigung | abwesenheitsnotiz | "
        "abwesenheitsmeldung | abwesenheitsnachricht | abwesenheit | abwesend | nicht im büro | außer haus | "
        "automatische abwesenheitsnotiz | abwesenheitsassistent | autoantwort | automatische nachricht | urlaub"
    ),
    "fr": (
        "réponse automatique | reponse automatique | absence du bureau | absent du bureau | message d'absence | "
        "absence | en congé | en congés | message automatique | en vacances"
    ),
    "es": (
        "respuesta automática | respuesta automatica | fuera de la oficina | fuera de oficina | ausente | "
        "mensaje automático | autorespuesta | auto respuesta | de vacaciones"
    ),
    "it": (
        "risposta automatica | fuori sede | fuori ufficio | assente | assenza | messaggio automatico | in ferie | "
        "risponditore automatico"
    ),
    "nl": (
        "automatisch antwoord | automatische beantwoording | afwezig | afwezigheid | afwezigheidsmelding | "
        "niet aanwezig | buiten kantoor | automatische afwezigheidsmelding | automatisch bericht | met vakantie"
    ),
    "pt": (
        "resposta automática | resposta automatica | fora do escritório | ausência temporária | ausente | ausência | "
        "mensagem automática | de férias | em férias"
    ),
    "sv da no fi": "autosvar | automatiskt svar | automatisk svar | frånvaro | fraværende | automaattinen vastaus",
    "pl cs": "automatyczna odpowiedź | nieobecność | automatická odpověď | poza biurem",
}

BOUNCE_SUBJECTS = {
    "en": (
        "undeliver | delivery status notification | delivery failure | delivery failed | mail delivery fail | "
        "failure notice | returned mail | mail delivery sub | mail delivery system | message delivery has failed | "
        "delivery has failed | delivery notification | delivery problem | delivery error | delivery delayed | "
        "mail system error | message undeliver | non-delivery | nondelivery | mail could not be delivered | "
        "message could not be delivered | could not deliver | unable to deliver | rejected: | mail failure | "
        "there was an error sending your mail | warning: message | warning: could not send | warning--could not send | "
        "delayed mail | failed delivery | failure delivery | permanent delivery failure | email delivery failure | "
        "[postmaster] | mail failed, returning | postfix smtp server: errors | bounce | mail not delivered | "
        "your message wasn't delivered | message not delivered | mail returned | mail delivery status | "
        "undelivered | delivery to the following recipient"
    ),
    "de": (
        "unzustellbar | nicht zustellbar | zustellung fehlgeschlagen | mail nicht zugestellt | zustellfehler | "
        "benachrichtigung zum übermittlungsstatus | übermittlung fehlgeschlagen | nachricht unzustellbar"
    ),
    "fr": "non remis | échec de la remise | non distribuable | non délivré | échec de remise | message non remis",
    "es": "no se puede entregar | no entregado | error de entrega | correo no entregado | mensaje no entregado",
    "it": "non recapitabile | mancato recapito | messaggio non recapitato | recapito non riuscito",
    "nl": "onbestelbaar | niet bezorgd | aflevering mislukt | kan niet worden bezorgd",
    "pt": "não entregue | não foi possível entregar | falha na entrega | não é possível entregar",
    "ru": "ваше сообщение не доставлено | недоставленное сообщение",
    "ja": "メールエラー通知 | メッセージを配信できません | 配信不能",
}

# Looked for anywhere in what a machine wrote.
BOUNCE_TEXTS = {
    "en": (
        "could not be delivered | was not delivered | delivery failed | user unknown | mailbox unavailable | "
        "undeliverable | mailbox is full | mailbox full | no such user | unable to deliver | does not exist | "
        "delivery to the following | permanent error | permanent fatal error | returned to sender | "
        '"notificationtype":"bounce"'
    ),
    "de": "konnte nicht zugestellt werden | nicht zustellbar | konnte nicht übermittelt werden",
    "fr": "n'a pas pu être remis | n'a pas pu être délivré | n'a pas été remis",
    "es": "no se pudo entregar | no se ha podido entregar",
    "it": "non è stato recapitato | impossibile recapitare",
    "nl": "kon niet worden bezorgd | niet afgeleverd",
    "pt": "não pôde ser entregue | não foi entregue",
}

DELAY = {
    "en": "delay | still being retried | warning: | warning-- | will be retried | temporar",
    "de": "verzögert | wird weiter versucht",
    "fr": "retardé | retard",
    "es": "retrasad | demorad",
    "it": "ritard",
    "nl": "vertraagd | vertraging",
    "pt": "atrasad",
}

CHALLENGE_SUBJECTS = {
    "en": (
        "please verify your email to | verify your message | please confirm your message | "
        "confirm your email to reach | "
        "your message is being held | your email requires verification | sender verification | "
        "action required to deliver | you need to confirm | message pending verification | "
        "your mail is awaiting verification | verify you are human"
    ),
    "de": "bitte bestätigen sie ihre nachricht | absenderbestätigung | bestätigung ihrer e-mail erforderlich",
    "fr": "votre message est en attente | confirmez votre envoi | authentification de votre message | mailinblack",
    "es": "confirme su mensaje | verificación del remitente",
    "it": "conferma il tuo messaggio | verifica del mittente",
    "nl": "bevestig uw bericht | verificatie van afzender",
    "pt": "confirme a sua mensagem | confirme sua mensagem | antispam uol",
}

# Services that ask strangers to prove themselves, as their mail's sender or header names show.
CHALLENGERS = "boxbe | spamarrest | mailinblack | bluebottle | sendio | antispamuol | 0spam | cleanmail.ch"

# Local parts of senders that nobody reads behind.
DAEMONS = "mailer-daemon | maildaemon | mail-daemon | mail.delivery.system | mail-delivery-system | bounce | bounces"
POSTMASTERS = "postmaster | post_master | mailadmin | poostmaster | mail.administrator | sysadmin | no-reply | noreply"

# Headers that only programs set, whatever their value.
AUTO_REPLY_HEADERS = (
    "x-autoreply | x-autorespond | x-autoresponder | x-auto-reply | x-autoreply-from | x-mail-autoreply | "
    "x-autogenerated | x-auto-generated | x-vacation | x-ms-exchange-generated-message-source | "
    "x-ms-exchange-inbox-rules-loop | x-fc-machinegenerated | x-auto-reply-from | x-pops-auto-reply"
)
