//! What the name server inside a sandbox answers. The format is hickory's; what is said is ours:
//!
//! - A and AAAA of a name that the function's egress opens and that exists: the address that stands for it, for [`TTL`].
//! - Any other type of such a name: no data. A function learns nothing else of names.
//! - A name that is not opened, does not exist or has no address: NXDOMAIN. Not REFUSED: some C libraries go on waiting after that, others
//!   call it temporary and try again.
//! - Another class or a transfer: REFUSED; another operation: NOTIMP; no readable question: FORMERR; nobody to ask: SERVFAIL.

use aloft_base::Host;
use hickory_resolver::proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::{DNSClass, RData, Record, RecordType};

use crate::pool::{self, TTL};

/// The longest question. One name has at most 255 bytes; the rest are options.
pub(crate) const QUESTION: usize = 4_096;
/// What we take by UDP, as we say it to those who ask: what every network carries.
const PAYLOAD: u16 = 1_232;

/// A question that is to be looked at.
pub(crate) struct Question {
    message: Message,
    /// The name in lower case, without the final dot.
    pub(crate) name: String,
    kind: RecordType,
}

/// What becomes of it.
pub(crate) enum Verdict {
    /// The number of the address that stands for the name.
    Known(u32),
    /// There is no such name.
    Nothing,
    /// It cannot be said.
    Failed,
}

/// Reads a question.
///
/// # Errors
/// The answer, where the question is not looked at; none where there is nobody to be answered.
pub(crate) fn read(bytes: &[u8]) -> Result<Question, Option<Vec<u8>>> {
    let Ok(message) = Message::from_vec(bytes) else {
        return Err(unreadable(bytes));
    };
    if message.metadata.message_type != MessageType::Query {
        return Err(None);
    }
    if message.metadata.op_code != OpCode::Query {
        return Err(written(reply(&message, ResponseCode::NotImp)));
    }
    let [query] = &*message.queries else {
        return Err(written(reply(&message, ResponseCode::FormErr)));
    };
    let kind = query.query_type();
    if query.query_class() != DNSClass::IN || matches!(kind, RecordType::AXFR | RecordType::IXFR) {
        return Err(written(reply(&message, ResponseCode::Refused)));
    }
    let name = query.name().to_ascii();
    match Host::of(name.trim_end_matches('.')) {
        Ok(Host::Name(name)) => Ok(Question { message, name, kind }),
        // Nothing that could be a host.
        Ok(_) | Err(_) => Err(written(reply(&message, ResponseCode::NXDomain))),
    }
}

/// FORMERR with the question's number, unless it is no question at all: two servers must not answer each other for ever.
fn unreadable(bytes: &[u8]) -> Option<Vec<u8>> {
    let [first, second, flags, ..] = bytes else {
        return None;
    };
    let is_question = bytes.len() >= 12 && flags & 0x80 == 0;
    let id = u16::from_be_bytes([*first, *second]);
    let answer = is_question.then(|| Message::error_msg(id, OpCode::Query, ResponseCode::FormErr));
    written(answer?)
}

impl Question {
    /// The answer. Where no connection by IPv6 can be made, no address of it is told.
    pub(crate) fn answer(&self, verdict: &Verdict, has_v6: bool) -> Option<Vec<u8>> {
        let code = match verdict {
            Verdict::Known(_) => ResponseCode::NoError,
            Verdict::Nothing => ResponseCode::NXDomain,
            Verdict::Failed => ResponseCode::ServFail,
        };
        let mut answer = reply(&self.message, code);
        if let (Verdict::Known(number), Some(query)) = (verdict, self.message.queries.first()) {
            let data = match self.kind {
                RecordType::A => Some(RData::A(pool::v4(*number).into())),
                RecordType::AAAA if has_v6 => Some(RData::AAAA(pool::v6(*number).into())),
                _ => None,
            };
            let ttl = u32::try_from(TTL.as_secs()).unwrap_or(0);
            answer.add_answers(data.map(|data| Record::from_rdata(query.name().clone(), ttl, data)));
        }
        written(answer)
    }
}

fn reply(question: &Message, code: ResponseCode) -> Message {
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.metadata.recursion_desired = question.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.metadata.response_code = code;
    // As they were asked: some clients vary the case and compare.
    answer.add_queries(question.queries.iter().take(1).cloned());
    if question.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(PAYLOAD);
        answer.set_edns(edns);
    }
    answer
}

fn written(answer: Message) -> Option<Vec<u8>> {
    answer.to_vec().ok()
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::op::Query;
    use hickory_resolver::proto::rr::Name;
    use proptest::prelude::*;

    use super::*;

    fn asked(name: &str, kind: RecordType) -> Message {
        let mut message = Message::query();
        message.metadata.id = 7;
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message
    }

    fn answered(message: &Message, verdict: &Verdict, has_v6: bool) -> Message {
        let question = read(&message.to_vec().unwrap()).unwrap_or_else(|_| panic!("it is a question"));
        Message::from_vec(&question.answer(verdict, has_v6).unwrap()).unwrap()
    }

    #[test]
    fn a_known_name_has_one_address_of_each_kind_and_nothing_else() {
        let known = Verdict::Known(3);
        let answer = answered(&asked("API.example.com.", RecordType::A), &known, true);
        assert_eq!(answer.metadata.id, 7);
        assert_eq!(answer.metadata.message_type, MessageType::Response);
        assert_eq!(answer.answers.len(), 1);
        assert_eq!(answer.answers[0].data, RData::A(pool::v4(3).into()));
        assert_eq!(
            answer.answers[0].name.to_ascii(),
            "API.example.com.",
            "as it was asked"
        );
        assert_eq!(answer.answers[0].ttl, 60);
        let answer = answered(&asked("api.example.com.", RecordType::AAAA), &known, true);
        assert_eq!(answer.answers[0].data, RData::AAAA(pool::v6(3).into()));
        for (kind, has_v6) in [
            (RecordType::AAAA, false),
            (RecordType::MX, true),
            (RecordType::TXT, true),
        ] {
            let answer = answered(&asked("api.example.com.", kind), &known, has_v6);
            assert!(answer.answers.is_empty(), "{kind}");
            assert_eq!(answer.metadata.response_code, ResponseCode::NoError, "{kind}");
        }
    }

    #[test]
    fn what_is_not_there_is_said_so() {
        let question = asked("gone.example.", RecordType::A);
        let code = |verdict| answered(&question, &verdict, true).metadata.response_code;
        assert_eq!(code(Verdict::Nothing), ResponseCode::NXDomain);
        assert_eq!(code(Verdict::Failed), ResponseCode::ServFail);
    }

    #[test]
    fn what_is_no_question_of_ours_is_answered_at_once() {
        let code = |message: &Message| {
            let answer = read(&message.to_vec().unwrap()).err().unwrap();
            answer.map(|answer| Message::from_vec(&answer).unwrap().metadata.response_code)
        };
        let mut other = asked("a.example.", RecordType::A);
        other.queries[0].set_query_class(DNSClass::CH);
        assert_eq!(code(&other), Some(ResponseCode::Refused));
        assert_eq!(
            code(&asked("a.example.", RecordType::AXFR)),
            Some(ResponseCode::Refused)
        );
        assert_eq!(
            code(&asked("10.0.0.1.", RecordType::A)),
            Some(ResponseCode::NXDomain)
        );
        assert_eq!(
            code(&asked("*.example.", RecordType::A)),
            Some(ResponseCode::NXDomain)
        );
        assert_eq!(code(&asked(".", RecordType::NS)), Some(ResponseCode::NXDomain));
        let mut other = asked("a.example.", RecordType::A);
        other.metadata.op_code = OpCode::Update;
        assert_eq!(code(&other), Some(ResponseCode::NotImp));
        let mut other = asked("a.example.", RecordType::A);
        other.metadata.message_type = MessageType::Response;
        assert_eq!(code(&other), None, "no server answers another");
        let mut other = asked("a.example.", RecordType::A);
        other.add_query(Query::query(
            Name::from_ascii("b.example.").unwrap(),
            RecordType::A,
        ));
        assert_eq!(code(&other), Some(ResponseCode::FormErr));
        let mut other = asked("a.example.", RecordType::A);
        other.queries.clear();
        assert_eq!(code(&other), Some(ResponseCode::FormErr));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_question_or_answered_or_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Err(Some(answer)) = read(&bytes) {
                prop_assert!(Message::from_vec(&answer).is_ok());
            }
        }
    }
}
