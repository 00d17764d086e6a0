"""What the pages say, in the languages letters come in (`authoring.locales`), as data."""

from collections.abc import Mapping
from dataclasses import dataclass

LONGEST_HEADER = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """One language. ``{sender}``, ``{shop}`` and ``{answer}`` stand for what they name."""

    language: str
    # the answer
    answer_title: str
    reader: str
    noted: str
    add: str
    send: str
    choose: str
    too_often: str
    kept: str
    # thanks
    thanks: str
    your_answer: str
    your_words: str
    change: str
    # no more letters
    stop_title: str
    stop_text: str
    stop: str
    stopped_title: str
    stopped_text: str
    # everything else
    dead_title: str
    dead_text: str
    later_title: str
    later_text: str
    fast_title: str
    fast_text: str
    unread_title: str
    unread_text: str
    broken_title: str
    broken_text: str
    refused_title: str
    refused_text: str
    hello: str


WORDS: Mapping[str, Words] = {
    "en": Words(
        language="en",
        answer_title="Your answer",
        reader="{sender} at {shop} will read this.",
        noted="Noted so far: {answer}",
        add="Would you like to add something?",
        send="Send my answer",
        choose="Please choose one of the answers.",
        too_often="You have changed this answer many times. Please reply to the letter instead: {sender} will read it.",
        kept="We could not note this just now. Your words are still here: please press the button again in a minute.",
        thanks="Thank you",
        your_answer="Your answer",
        your_words="Your words",
        change="Change my answer",
        stop_title="No more letters?",
        stop_text="Press the button, and {shop} will send you no more letters like this one.",
        stop="Stop the letters",
        stopped_title="You will get no more letters",
        stopped_text="{shop} will send you no more letters like these. There is nothing else to do.",
        dead_title="This link does not work",
        dead_text="It may be incomplete or too old. Please simply reply to the letter: that reaches us just as well.",
        later_title="Not just now, sorry",
        later_text="Something on our side is not available. Please try again in a few minutes.",
        fast_title="That was a little fast",
        fast_text="Too many requests came from your network. Please try again in a minute.",
        unread_title="We could not read that",
        unread_text="It was too long or incomplete. Please reply to the letter instead: that reaches us just as well.",
        broken_title="Something went wrong on our side",
        broken_text="We will look into it. Please reply to the letter instead: that reaches us just as well.",
        refused_title="This does not work this way",
        refused_text="Please open the link in the letter again.",
        hello="This is where answers to our letters arrive.",
    ),
    "de": Words(
        language="de",
        answer_title="Ihre Antwort",
        reader="{sender} von {shop} liest das.",
        noted="Bisher notiert: {answer}",
        add="Möchten Sie etwas hinzufügen?",
        send="Antwort senden",
        choose="Bitte wählen Sie eine der Antworten.",
        too_often="Sie haben diese Antwort oft geändert. Bitte antworten Sie auf den Brief: {sender} liest das.",
        kept="Wir konnten das gerade nicht notieren. Ihre Worte stehen noch hier: Bitte drücken Sie in einer Minute "
        "noch einmal auf den Knopf.",
        thanks="Vielen Dank",
        your_answer="Ihre Antwort",
        your_words="Ihre Worte",
        change="Meine Antwort ändern",
        stop_title="Keine weiteren Briefe?",
        stop_text="Drücken Sie auf den Knopf, und {shop} schickt Ihnen keine Briefe wie diesen mehr.",
        stop="Keine weiteren Briefe",
        stopped_title="Sie erhalten keine weiteren Briefe",
        stopped_text="{shop} schickt Ihnen keine solchen Briefe mehr. Mehr ist nicht zu tun.",
        dead_title="Dieser Link funktioniert nicht",
        dead_text="Vielleicht ist er unvollständig oder zu alt. Bitte antworten Sie einfach auf den Brief: Das "
        "erreicht uns genauso gut.",
        later_title="Gerade geht es leider nicht",
        later_text="Auf unserer Seite ist etwas nicht erreichbar. Bitte versuchen Sie es in einigen Minuten noch "
        "einmal.",
        fast_title="Das war etwas schnell",
        fast_text="Aus Ihrem Netz kamen zu viele Anfragen. Bitte versuchen Sie es in einer Minute noch einmal.",
        unread_title="Das konnten wir nicht lesen",
        unread_text="Es war zu lang oder unvollständig. Bitte antworten Sie auf den Brief: Das erreicht uns genauso "
        "gut.",
        broken_title="Bei uns ist etwas schiefgegangen",
        broken_text="Wir sehen es uns an. Bitte antworten Sie auf den Brief: Das erreicht uns genauso gut.",
        refused_title="So geht es nicht",
        refused_text="Bitte öffnen Sie den Link im Brief noch einmal.",
        hello="Hier kommen die Antworten auf unsere Briefe an.",
    ),
    "fr": Words(
        language="fr",
        answer_title="Votre réponse",
        reader="{sender}, de {shop}, lira ceci.",
        noted="Noté jusqu’ici : {answer}",
        add="Souhaitez-vous ajouter quelque chose ?",
        send="Envoyer ma réponse",
        choose="Veuillez choisir une des réponses.",
        too_often="Vous avez modifié cette réponse de nombreuses fois. Répondez plutôt à la lettre : {sender} vous "
        "lira.",
        kept="Nous n’avons pas pu le noter à l’instant. Votre message est toujours là : appuyez de nouveau sur le "
        "bouton dans une minute.",
        thanks="Merci",
        your_answer="Votre réponse",
        your_words="Votre message",
        change="Modifier ma réponse",
        stop_title="Ne plus recevoir de lettres ?",
        stop_text="Appuyez sur le bouton, et {shop} ne vous enverra plus de lettres comme celle-ci.",
        stop="Ne plus recevoir ces lettres",
        stopped_title="Vous ne recevrez plus de lettres",
        stopped_text="{shop} ne vous enverra plus de telles lettres. Vous n’avez rien d’autre à faire.",
        dead_title="Ce lien ne fonctionne pas",
        dead_text="Il est peut-être incomplet ou trop ancien. Répondez simplement à la lettre : nous vous lirons tout "
        "aussi bien.",
        later_title="Pas maintenant, désolé",
        later_text="Quelque chose n’est pas disponible de notre côté. Veuillez réessayer dans quelques minutes.",
        fast_title="C’était un peu rapide",
        fast_text="Trop de demandes sont venues de votre réseau. Veuillez réessayer dans une minute.",
        unread_title="Nous n’avons pas pu lire cela",
        unread_text="C’était trop long ou incomplet. Répondez plutôt à la lettre : nous vous lirons tout aussi bien.",
        broken_title="Une erreur s’est produite de notre côté",
        broken_text="Nous allons nous en occuper. Répondez plutôt à la lettre : nous vous lirons tout aussi bien.",
        refused_title="Cela ne fonctionne pas ainsi",
        refused_text="Veuillez ouvrir de nouveau le lien dans la lettre.",
        hello="Les réponses à nos lettres arrivent ici.",
    ),
    "es": Words(
        language="es",
        answer_title="Su respuesta",
        reader="{sender}, de {shop}, leerá esto.",
        noted="Anotado hasta ahora: {answer}",
        add="¿Quiere añadir algo?",
        send="Enviar mi respuesta",
        choose="Elija una de las respuestas, por favor.",
        too_often="Ha cambiado esta respuesta muchas veces. Responda mejor a la carta: {sender} la leerá.",
        kept="No hemos podido anotarlo en este momento. Su mensaje sigue aquí: pulse el botón otra vez dentro de un "
        "minuto.",
        thanks="Gracias",
        your_answer="Su respuesta",
        your_words="Su mensaje",
        change="Cambiar mi respuesta",
        stop_title="¿No recibir más cartas?",
        stop_text="Pulse el botón y {shop} no le enviará más cartas como esta.",
        stop="No recibir más cartas",
        stopped_title="No recibirá más cartas",
        stopped_text="{shop} no le enviará más cartas como estas. No hace falta hacer nada más.",
        dead_title="Este enlace no funciona",
        dead_text="Puede que esté incompleto o sea demasiado antiguo. Responda simplemente a la carta: así también "
        "nos llega.",
        later_title="Ahora mismo no es posible",
        later_text="Algo no está disponible por nuestra parte. Inténtelo de nuevo dentro de unos minutos.",
        fast_title="Ha sido un poco rápido",
        fast_text="Han llegado demasiadas solicitudes desde su red. Inténtelo de nuevo dentro de un minuto.",
        unread_title="No hemos podido leerlo",
        unread_text="Era demasiado largo o estaba incompleto. Responda mejor a la carta: así también nos llega.",
        broken_title="Algo ha fallado por nuestra parte",
        broken_text="Lo vamos a revisar. Responda mejor a la carta: así también nos llega.",
        refused_title="Así no funciona",
        refused_text="Abra otra vez el enlace de la carta, por favor.",
        hello="Aquí llegan las respuestas a nuestras cartas.",
    ),
    "it": Words(
        language="it",
        answer_title="La Sua risposta",
        reader="{sender} di {shop} leggerà la Sua risposta.",
        noted="Annotato finora: {answer}",
        add="Desidera aggiungere qualcosa?",
        send="Invia la mia risposta",
        choose="Scelga una delle risposte.",
        too_often="Ha cambiato questa risposta molte volte. Risponda piuttosto alla lettera: {sender} la leggerà.",
        kept="Non siamo riusciti ad annotarlo in questo momento. Il Suo messaggio è ancora qui: prema di nuovo il "
        "pulsante tra un minuto.",
        thanks="Grazie",
        your_answer="La Sua risposta",
        your_words="Il Suo messaggio",
        change="Cambia la mia risposta",
        stop_title="Non ricevere più lettere?",
        stop_text="Prema il pulsante e {shop} non Le invierà più lettere come questa.",
        stop="Non ricevere più queste lettere",
        stopped_title="Non riceverà più lettere",
        stopped_text="{shop} non Le invierà più lettere di questo tipo. Non occorre fare altro.",
        dead_title="Questo link non funziona",
        dead_text="Forse è incompleto o troppo vecchio. Risponda semplicemente alla lettera: ci arriva comunque.",
        later_title="In questo momento non è possibile",
        later_text="Qualcosa da parte nostra non è disponibile. Riprovi tra qualche minuto.",
        fast_title="È stato un po’ veloce",
        fast_text="Dalla Sua rete sono arrivate troppe richieste. Riprovi tra un minuto.",
        unread_title="Non siamo riusciti a leggerlo",
        unread_text="Era troppo lungo o incompleto. Risponda piuttosto alla lettera: ci arriva comunque.",
        broken_title="Qualcosa è andato storto da parte nostra",
        broken_text="Ce ne occuperemo. Risponda piuttosto alla lettera: ci arriva comunque.",
        refused_title="Così non funziona",
        refused_text="Apra di nuovo il link nella lettera.",
        hello="Qui arrivano le risposte alle nostre lettere.",
    ),
    "nl": Words(
        language="nl",
        answer_title="Uw antwoord",
        reader="{sender} van {shop} leest dit.",
        noted="Tot nu toe genoteerd: {answer}",
        add="Wilt u iets toevoegen?",
        send="Mijn antwoord versturen",
        choose="Kies een van de antwoorden.",
        too_often="U hebt dit antwoord vaak gewijzigd. Beantwoord liever de brief: {sender} leest het.",
        kept="We konden dit zojuist niet noteren. Uw bericht staat er nog: druk over een minuut nog eens op de knop.",
        thanks="Dank u wel",
        your_answer="Uw antwoord",
        your_words="Uw bericht",
        change="Mijn antwoord wijzigen",
        stop_title="Geen brieven meer?",
        stop_text="Druk op de knop, en {shop} stuurt u geen brieven zoals deze meer.",
        stop="Geen brieven meer ontvangen",
        stopped_title="U ontvangt geen brieven meer",
        stopped_text="{shop} stuurt u zulke brieven niet meer. U hoeft verder niets te doen.",
        dead_title="Deze link werkt niet",
        dead_text="Misschien is hij onvolledig of te oud. Beantwoord gewoon de brief: dat bereikt ons net zo goed.",
        later_title="Nu even niet, sorry",
        later_text="Iets aan onze kant is niet bereikbaar. Probeer het over een paar minuten nog eens.",
        fast_title="Dat ging een beetje snel",
        fast_text="Er kwamen te veel verzoeken van uw netwerk. Probeer het over een minuut nog eens.",
        unread_title="Dat konden we niet lezen",
        unread_text="Het was te lang of onvolledig. Beantwoord liever de brief: dat bereikt ons net zo goed.",
        broken_title="Er ging iets mis aan onze kant",
        broken_text="We kijken ernaar. Beantwoord liever de brief: dat bereikt ons net zo goed.",
        refused_title="Zo werkt dit niet",
        refused_text="Open de link in de brief nog eens.",
        hello="Hier komen de antwoorden op onze brieven binnen.",
    ),
    "pt": Words(
        language="pt",
        answer_title="A sua resposta",
        reader="{sender}, de {shop}, vai ler isto.",
        noted="Anotado até agora: {answer}",
        add="Gostaria de acrescentar algo?",
        send="Enviar a minha resposta",
        choose="Escolha uma das respostas, por favor.",
        too_often="Alterou esta resposta muitas vezes. Responda antes à carta: {sender} vai lê-la.",
        kept="Não foi possível anotar isto agora. A sua mensagem continua aqui: prima de novo o botão daqui a um "
        "minuto.",
        thanks="Obrigado",
        your_answer="A sua resposta",
        your_words="A sua mensagem",
        change="Alterar a minha resposta",
        stop_title="Não receber mais cartas?",
        stop_text="Prima o botão e {shop} deixará de lhe enviar cartas como esta.",
        stop="Não receber mais cartas",
        stopped_title="Não receberá mais cartas",
        stopped_text="{shop} deixará de lhe enviar cartas como estas. Não é preciso fazer mais nada.",
        dead_title="Esta ligação não funciona",
        dead_text="Talvez esteja incompleta ou seja demasiado antiga. Responda simplesmente à carta: também chega até "
        "nós.",
        later_title="Agora não é possível",
        later_text="Algo do nosso lado não está disponível. Tente de novo daqui a alguns minutos.",
        fast_title="Foi um pouco rápido",
        fast_text="Chegaram demasiados pedidos da sua rede. Tente de novo daqui a um minuto.",
        unread_title="Não conseguimos ler isto",
        unread_text="Era demasiado longo ou estava incompleto. Responda antes à carta: também chega até nós.",
        broken_title="Algo correu mal do nosso lado",
        broken_text="Vamos ver o que se passou. Responda antes à carta: também chega até nós.",
        refused_title="Assim não funciona",
        refused_text="Abra de novo a ligação da carta, por favor.",
        hello="É aqui que chegam as respostas às nossas cartas.",
    ),
}


def words_of(language: str) -> Words:
    """Return what pages say in a BCP 47 language; English for one without data."""
    return WORDS.get(language.replace("_", "-").split("-", maxsplit=1)[0].casefold(), WORDS["en"])


def preferred(accept_language: str) -> Words:
    """Return what pages say in the first language of an Accept-Language header that we have (RFC 9110, 12.5.4)."""
    wanted = []
    for position, one in enumerate(accept_language[:LONGEST_HEADER].split(",")):
        tag, _, parameter = one.partition(";")
        language = tag.strip().split("-", maxsplit=1)[0].casefold()
        if language in WORDS:
            wanted.append((-_weight(parameter), position, language))
    return WORDS[min(wanted)[2]] if wanted else WORDS["en"]


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return min(max(float(value), 0.0), 1.0)
    except ValueError:
        return 0.0
