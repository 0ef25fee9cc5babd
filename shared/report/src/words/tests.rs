#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::tables::shown;
use super::*;

#[test]
fn every_example_is_read_by_its_own_rule_and_announces_its_notice() {
    let mut wrong = Vec::new();
    for (index, rule) in RULES.iter().enumerate() {
        let (place, notice) = place_and_notice(rule.table);
        for example in shown(index).examples {
            let mut fired = false;
            TABLE.scan(example, |hit| fired |= hit.rule as usize == index);
            let said: Vec<Notice> = match place {
                Place::Subject => in_subject(example).into_iter().map(|found| found.notice).collect(),
                Place::Body => in_body(example).into_iter().map(|found| found.notice).collect(),
            };
            if !fired || !said.contains(&notice) {
                wrong.push(format!("{}: fired {fired}, {said:?}: {example}", rule.id));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n{} wrong", wrong.join("\n"), wrong.len());
}

#[test]
fn a_rule_names_its_language_and_source_and_has_an_id_of_its_own() {
    let mut ids = std::collections::BTreeSet::new();
    for (index, rule) in RULES.iter().enumerate() {
        assert!(ids.insert(rule.id), "{} twice", rule.id);
        assert_eq!(shown(index).language.len(), 2, "{}", rule.id);
        assert!(!shown(index).source.is_empty(), "{}", rule.id);
    }
}

fn said(subject: &str) -> Option<Notice> {
    in_subject(subject).map(|found| found.notice)
}

#[test]
fn a_reply_or_a_forward_announces_nothing() {
    for subject in [
        "Re: Undeliverable: hello",
        "Fwd: Mail delivery failed",
        "AW: Unzustellbar: Hallo",
        "RE[2]: failure notice",
        "TR: Non remis : Bonjour",
        "回复: 系统退信",
        "Rif: Mancato recapito",
        "SV: Automatic reply",
    ] {
        assert_eq!(said(subject), None, "{subject}");
        assert!(is_answer(subject), "{subject}");
    }
    for subject in ["Undeliverable: Re: hello", "Automatic reply: Re: hello", "Reports: failure notice"] {
        assert!(!is_answer(subject), "{subject}");
    }
}

#[test]
fn ordinary_subjects_announce_nothing() {
    for subject in [
        "Minutes of Monday's meeting",
        "Invoice 4711",
        "Your order has shipped",
        "Die Hasen und die Frösche",
        "にゃんこ",
        "Réunion de lundi",
        "New features in our mail server",
        "A question about SMTP",
        "Photos of the holiday home",
        "Vacation rentals from 49 €",
        "Reading list",
        "Delivered fresh: our spring offers",
        "Wie war der Urlaub?",
    ] {
        let found = in_subject(subject);
        assert!(found.is_none() || subject.starts_with("Delivered"), "{subject}: {found:?}");
    }
}

#[test]
fn ordinary_sentences_announce_nothing() {
    for text in [
        "Hello Max, shall we meet on Monday? I will bring the report. Best, Anna",
        "The new release mends the parser and adds a queue. See the notes for more.",
        "Bonjour, pourriez-vous m'envoyer le dossier avant vendredi ? Merci d'avance.",
        "Anbei die Unterlagen für das Treffen am Dienstag.",
        "Adjunto el informe de ventas del mes pasado.",
        "お世話になっております。資料をお送りいたします。よろしくお願いします。",
        "您好，附件是会议资料，请查收。",
        "Your parcel will arrive tomorrow between 9 and 12.",
        "This newsletter was sent to you because you subscribed on our site.",
    ] {
        assert_eq!(in_body(text), [], "{text}");
    }
}

#[test]
fn subjects_of_many_programs_are_understood() {
    use Notice::*;
    let cases = [
        ("Out of Office AutoReply: Newsletter", Some(AutoReply)),
        ("Auto: Hello", Some(AutoReply)),
        ("AUTO: Jane Doe is out of the office (returning 05/12/2024)", Some(AutoReply)),
        ("Yahoo! Auto Response", Some(AutoReply)),
        ("Sorry, I'm on vacation", Some(AutoReply)),
        ("I will be out of the office starting 12/01/2024", Some(AutoReply)),
        ("Jane Doe is on annual leave", Some(AutoReply)),
        ("Thank you for your email", Some(AutoReply)),
        ("We have received your request - Case 00123", Some(AutoReply)),
        ("Ticket received: hello", Some(AutoReply)),
        ("Your request (#12345) has been received", Some(AutoReply)),
        ("Abwesenheit bis 12.05.", Some(AutoReply)),
        ("Nicht im Büro bis Montag", Some(AutoReply)),
        ("Réponse automatique: absent", Some(AutoReply)),
        ("Absent du 12 au 15 mai", Some(AutoReply)),
        ("Message d'absence", Some(AutoReply)),
        ("Estoy de vacaciones", Some(AutoReply)),
        ("RESPUESTA AUTOMATICA", Some(AutoReply)),
        ("Mensaje automático: fuera de la oficina", Some(AutoReply)),
        ("Resposta automática: férias", Some(AutoReply)),
        ("Estou de férias", Some(AutoReply)),
        ("Risposta automatica: assente", Some(AutoReply)),
        ("Sono in ferie", Some(AutoReply)),
        ("Automatisch antwoord: vakantie", Some(AutoReply)),
        ("Autoreply", Some(AutoReply)),
        ("Automatická odpověď: x", Some(AutoReply)),
        ("自動応答: 不在", Some(AutoReply)),
        ("【自動返信】お問い合わせを受け付けました", Some(AutoReply)),
        ("自动回复：已收到", Some(AutoReply)),
        ("[자동응답] 부재중입니다", Some(AutoReply)),
        ("Автоответ: в отпуске", Some(AutoReply)),
        ("Autosvar: Semester", Some(AutoReply)),
        ("Fraværsmelding", Some(AutoReply)),
        ("Out of office", Some(AutoReply)),
        ("On leave till 5th May", Some(AutoReply)),
        ("Maternity leave Re: hello", Some(AutoReply)),
        ("Delivery Status Notification (Failure)", Some(Failure)),
        ("Mail delivery failed: returning message to sender", Some(Failure)),
        ("Undeliverable: Re: hello", Some(Failure)),
        ("Undelivered Mail Returned to Sender", Some(Failure)),
        ("Returned mail: User unknown", Some(Failure)),
        ("failure notice", Some(Failure)),
        ("Mail System Error - Returned Mail", Some(Failure)),
        ("Delivery failure", Some(Failure)),
        ("DELIVERY FAILURE: User x not listed in Domino Directory", Some(Failure)),
        ("Non-Deliverable: hello", Some(Failure)),
        ("NDN: hello", Some(Failure)),
        ("Message undeliverable: hello", Some(Failure)),
        ("Your message could not be delivered", Some(Failure)),
        ("Mail Delivery Failure", Some(Failure)),
        ("Unable to deliver your message", Some(Failure)),
        ("Delivery Failure Notification", Some(Failure)),
        ("Nondeliverable mail", Some(Failure)),
        ("Mail delivery failure: hello", Some(Failure)),
        ("Rejected mail: hello", Some(Failure)),
        ("Message Delivery Failure", Some(Failure)),
        ("Message status - undeliverable", Some(Failure)),
        ("Email delivery error", Some(Failure)),
        ("There was an error sending your mail", Some(Failure)),
        ("Mail could not be delivered", Some(Failure)),
        ("SMTP Delivery Failure", Some(Failure)),
        ("Email Delivery Failure", Some(Failure)),
        ("Failed to deliver mail", Some(Failure)),
        ("Delivery error report", Some(Failure)),
        ("Undeliverable Mail", Some(Failure)),
        ("Non remis : bonjour", Some(Failure)),
        ("Échec de remise", Some(Failure)),
        ("Unzustellbar: hallo", Some(Failure)),
        ("Zustellung fehlgeschlagen", Some(Failure)),
        ("No se puede entregar: hola", Some(Failure)),
        ("No entregado", Some(Failure)),
        ("Não foi possível entregar: olá", Some(Failure)),
        ("Não entregue: olá", Some(Failure)),
        ("Impossibile recapitare: ciao", Some(Failure)),
        ("Onbestelbaar: hoi", Some(Failure)),
        ("Niedostarczalne: x", Some(Failure)),
        ("Недоставленное письмо", Some(Failure)),
        ("Не доставлено: привет", Some(Failure)),
        ("配信不能: x", Some(Failure)),
        ("メール配信エラーのお知らせ", Some(Failure)),
        ("未送达: x", Some(Failure)),
        ("系统退信/Systems bounce", Some(Failure)),
        ("未傳遞的主旨: x", Some(Failure)),
        ("배달되지 않음: x", Some(Failure)),
        ("메일 전송 실패 안내", Some(Failure)),
        ("Olevererbart: x", Some(Failure)),
        ("Går inte att leverera: x", Some(Failure)),
        ("Kan ikke leveres: x", Some(Failure)),
        ("Ei toimitettavissa: x", Some(Failure)),
        ("Nedoručitelné: x", Some(Failure)),
        ("Kézbesíthetetlen: x", Some(Failure)),
        ("Teslim Edilemedi: x", Some(Failure)),
        ("Μη παραδοτέο: x", Some(Failure)),
        ("Nelivrabil: x", Some(Failure)),
        ("Delivery Status Notification (Delay)", Some(Delay)),
        ("Warning: message 1abc delayed 24 hours", Some(Delay)),
        ("Delayed: hello", Some(Delay)),
        ("Delivery delayed: hello", Some(Delay)),
        ("Warning: could not send message for past 4 hours", Some(Delay)),
        ("Delayed Mail (still being retried)", Some(Delay)),
        ("Verzögert: hallo", Some(Delay)),
        ("Temporary delivery failure: hello", Some(Delay)),
        ("Delivered: hello", Some(Success)),
        ("Relayed: hello", Some(Success)),
        ("Delivery Status Notification (Success)", Some(Success)),
        ("Successful Mail Delivery Report", Some(Success)),
        ("Delivery Status Notification(Relay)", Some(Success)),
        ("Message delivered", Some(Success)),
        ("Read: hello", Some(Disposition)),
        ("Not read: hello", Some(Disposition)),
        ("Gelesen: hallo", Some(Disposition)),
        ("Lu: bonjour", Some(Disposition)),
        ("Return Receipt (displayed) - hello", Some(Disposition)),
        ("Disposition notification", Some(Disposition)),
        ("Leído: hola", Some(Disposition)),
        ("已读: x", Some(Disposition)),
        ("開封済み: x", Some(Disposition)),
        ("Please confirm your email to me", Some(Challenge)),
        ("Your message awaits moderator approval", Some(ListNotice)),
        ("confirm unsubscribe from list", Some(ListNotice)),
        ("Delivery of your order", None),
        ("Your parcel delivery", None),
        ("Failure analysis report", None),
        ("Read this before Friday", None),
        ("Lunch on Monday?", None),
        ("Returned items", None),
        ("Automatic payments", None),
        ("Auto insurance", None),
        ("Office closed next week", None),
        ("Meeting delayed", None),
        ("Error in the report", None),
        ("Problem with delivery", None),
        ("Absent friends", None),
        ("Le courrier du lundi", None),
        ("Bestellung zugestellt", None),
        ("Der Empfänger war nicht da", None),
        ("Pedido entregado", None),
        ("Nouveau message", None),
        ("Last call", None),
        ("Lasten", None),
        ("Vacation photos", None),
        ("Thanks for your help", None),
        ("Thank you for your order", None),
        ("Please confirm your appointment", None),
        ("Mail server error in our logs", None),
        ("Message from the director", None),
        ("Ticket for the concert", None),
        ("Your ticket number 5", None),
        ("Problema con la entrega", None),
        ("Ferien im Harz", None),
        ("Mailbox problem", None),
        ("Lettura del mese", None),
        ("Livre lu", None),
        ("Fehler im Bericht", None),
    ];
    let wrong: Vec<_> = cases.iter().filter(|(subject, notice)| said(subject) != *notice).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn sentences_of_many_programs_are_understood() {
    use Notice::*;
    let cases = [
        (
            "Thank you for your email. I am out of the office until 5 May with limited access to email. For urgent matters please contact John.",
            Some(AutoReply),
        ),
        ("I am currently on maternity leave and will return in September.", Some(AutoReply)),
        ("Hi, I'm travelling this week and will be slow to respond.", Some(AutoReply)),
        ("I no longer work at Example Ltd. Please direct your enquiries to sales@example.com.", Some(AutoReply)),
        ("Please note that John Doe has left the company.", Some(AutoReply)),
        (
            "Thank you for contacting Example support. Your ticket number is 12345. We will get back to you within 24 hours.",
            Some(AutoReply),
        ),
        ("We have received your message and will respond shortly.", Some(AutoReply)),
        ("Your request has been received and is being reviewed by our support staff.", Some(AutoReply)),
        ("Bonjour, je suis absent jusqu'au 15 mai inclus. En cas d'urgence, merci de contacter Paul.", Some(AutoReply)),
        ("Je suis en congés jusqu'au 3 août.", Some(AutoReply)),
        ("Nous avons bien reçu votre demande et la traiterons dans les meilleurs délais.", Some(AutoReply)),
        (
            "Sehr geehrte Damen und Herren, ich bin bis einschließlich 12. Mai nicht im Büro. Ihre E-Mail wird nicht weitergeleitet.",
            Some(AutoReply),
        ),
        ("Vielen Dank für Ihre E-Mail. Ich bin derzeit nicht erreichbar.", Some(AutoReply)),
        ("Ihre Anfrage ist bei uns eingegangen und wird schnellstmöglich bearbeitet.", Some(AutoReply)),
        ("Herr Müller ist nicht mehr in unserem Unternehmen tätig.", Some(AutoReply)),
        ("Estaré fuera de la oficina hasta el 10 de mayo.", Some(AutoReply)),
        ("Gracias por contactarnos. Hemos recibido su mensaje.", Some(AutoReply)),
        ("Estarei ausente até dia 10. Para assuntos urgentes contacte o João.", Some(AutoReply)),
        ("Sarò assente fino al 10 maggio. Per urgenze contattare Mario.", Some(AutoReply)),
        ("Ik ben afwezig tot en met 12 mei.", Some(AutoReply)),
        ("Obecnie jestem na urlopie. Wracam 12 maja.", Some(AutoReply)),
        ("Меня не будет в офисе до 12 мая. Отвечу после возвращения.", Some(AutoReply)),
        ("只今、夏季休暇をいただいております。", Some(AutoReply)),
        ("お問い合わせありがとうございます。このメールは自動送信されています。", Some(AutoReply)),
        ("您好，我正在出差，稍后回复您。", Some(AutoReply)),
        ("您的邮件我已收到，我会尽快回复。", Some(AutoReply)),
        ("안녕하세요. 현재 휴가 중이라 답장이 늦을 수 있습니다.", Some(AutoReply)),
        ("Jag är på semester till och med 5 maj.", Some(AutoReply)),
        ("To have your message delivered, click on the link below. This is a one-time verification.", Some(Challenge)),
        (
            "I apologize for this automatic reply to your email. To control spam, I now allow incoming messages only from senders I have approved beforehand. If you would like to be added to my list of approved senders, please fill out the short request form.",
            Some(Challenge),
        ),
        (
            "This message was created automatically by mail delivery software. Your message must be confirmed before it is delivered. Reply to this message to confirm.",
            Some(Challenge),
        ),
        ("Your message To: Jane Subject: hello Sent: Monday was read on Tuesday.", Some(Disposition)),
        (
            "Your mail to 'List' with the subject hello Is being held until the list moderator can review it for approval.",
            Some(ListNotice),
        ),
        (
            "Your message has been successfully relayed to the following recipients, but the requested delivery status notifications may not be generated by the destination.",
            Some(Success),
        ),
        (
            "Hi all, attached is the quarterly report. Please read it before the meeting. I am looking forward to Monday.",
            None,
        ),
        ("I will be in the office on Monday. Let's meet then.", None),
        ("The flight is delayed, I will arrive at nine.", None),
        ("Thanks for your order. It will be delivered on Tuesday to the address below.", None),
        ("My mailbox is full of spam again.", None),
        ("Your invoice is attached. Payment is due within 14 days.", None),
        ("Bonjour à tous, voici le compte rendu de la réunion. Bonne lecture.", None),
        ("Guten Tag, anbei das Angebot. Mit freundlichen Grüßen", None),
        ("Your password was changed. If this was not you, contact support.", None),
        ("The server could not find the file, so the build failed.", None),
        ("Hemos preparado una oferta especial para usted.", None),
        ("今週の会議は金曜日に変更になりました。", None),
        ("本周会议改到周五。", None),
    ];
    for (text, notice) in cases {
        let found = in_body(text);
        match notice {
            Some(notice) => assert!(found.iter().any(|found| found.notice == notice), "{text}: {found:?}"),
            None => assert_eq!(found, [], "{text}"),
        }
    }
}

/// A text as the words it is cut into; `@` an address, `|` the end of a sentence.
fn cut(text: &str) -> String {
    let mut words = Vec::new();
    token::cut(text, |token| {
        words.push(match token.kind {
            token::Kind::Address => "@".to_owned(),
            token::Kind::Stop => "|".to_owned(),
            token::Kind::Colon => ":".to_owned(),
            token::Kind::Not => "not".to_owned(),
            _ => {
                let mut word = String::new();
                text[token.start..token.end]
                    .chars()
                    .for_each(|character| token::fold(character, |folded| word.push(folded)));
                word
            }
        });
    });
    words.join(" ")
}

#[test]
fn text_is_cut_into_words() {
    for (text, expected) in [
        ("NO_SUCH-USER here", "no such user here"),
        ("user <a.b+c=d@example.com> unknown", "user @ unknown"),
        ("550-5.7.26 Unauthenticated", "550 5.7.26 unauthenticated"),
        ("4.16.55.1 and 192.0.2.1", "4 16 55 1 and 192 0 2 1"),
        ("doesn't, can’t, won't, cannot", "does not can not wo not can not"),
        ("Boîte saturée: REJETÉ", "boite saturee : rejete"),
        ("Größe überschritten", "grosse uberschritten"),
        ("<a@example.com>... User Unknown. Next", "@ user unknown | next"),
        ("line\n\nparagraph", "line | paragraph"),
        ("user unknown <<< 554 no", "user unknown | 554 no"),
        ("用户不存在。", "用 户 不 存 在 |"),
        ("kijitora@example.jp您好", "@ 您 好"),
        ("ＦＵＬＬ ｗｉｄｔｈ", "full width"),
        ("e\u{301}tat", "etat"),
        ("@ alone", "alone"),
        ("", ""),
    ] {
        assert_eq!(cut(text), expected, "{text}");
    }
}
