//! A call that waits, and what is stored of it.

use std::time::Duration;

use aloft_base::FunctionName;
use aloft_call::{Qualifier, Trace};
use aloft_codec::{Reader, Writer};
use bytes::Bytes;

/// Lambda's bound of an asynchronous payload.
pub const MAX_PAYLOAD: usize = 1 << 20;
const FORMAT: u8 = 1;

/// A call that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The function.
    pub function: FunctionName,
    /// Which of its versions, decided when it is called.
    pub qualifier: Qualifier,
    /// The function's ARN with the qualifier: for records.
    pub arn: String,
    /// What it is called with: JSON.
    pub payload: Bytes,
    /// What its caller says of itself: JSON in ASCII.
    pub context: Option<String>,
    /// The trace that it belongs to.
    pub trace: Trace,
    /// Its bounds.
    pub bounds: Bounds,
}

/// How often a call is tried, and who is told what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// How often one that failed is tried again.
    pub retries: u32,
    /// How old it may become.
    pub maximum_age: Duration,
    /// The function that is told when it was done.
    pub on_success: Option<(FunctionName, Qualifier)>,
    /// The function that is told when it was given up.
    pub on_failure: Option<(FunctionName, Qualifier)>,
    /// The function that gets what it was called with when it was given up.
    pub dead_letter: Option<(FunctionName, Qualifier)>,
}

impl Default for Bounds {
    /// Lambda's: two retries within six hours, and nobody is told.
    fn default() -> Self {
        Self {
            retries: 2,
            maximum_age: Duration::from_secs(21_600),
            on_success: None,
            on_failure: None,
            dead_letter: None,
        }
    }
}

impl Item {
    pub(crate) fn encode(&self) -> Bytes {
        let Bounds {
            retries,
            maximum_age,
            on_success,
            on_failure,
            dead_letter,
        } = &self.bounds;
        let mut writer = Writer::new(FORMAT)
            .text(1, self.function.as_str())
            .text(2, &self.qualifier.to_string())
            .text(3, &self.arn)
            .bytes(4, &self.payload)
            .text(5, &self.trace.traceparent())
            .u64(6, (*retries).into())
            .u64(7, maximum_age.as_secs());
        for (number, destination) in [(8, on_success), (9, on_failure), (10, dead_letter)] {
            if let Some((function, qualifier)) = destination {
                writer = writer.nested(number, |w| {
                    w.text(1, function.as_str()).text(2, &qualifier.to_string())
                });
            }
        }
        if let Some(context) = &self.context {
            writer = writer.text(11, context);
        }
        writer.finish()
    }

    /// What is stored; nothing if it lacks what every one has.
    pub(crate) fn decode(value: &Bytes) -> Result<Option<Self>, aloft_codec::Error> {
        let (mut function, mut qualifier, mut trace) = (None, None, None);
        let (mut arn, mut payload, mut context) = (String::new(), Bytes::new(), None);
        let mut bounds = Bounds::default();
        let mut fields = Reader::new(value, FORMAT)?;
        while let Some(field) = fields.next()? {
            match field.number() {
                1 => function = field.text()?.parse().ok(),
                2 => qualifier = field.text()?.parse().ok(),
                3 => field.text()?.clone_into(&mut arn),
                4 => payload = field.bytes(),
                5 => trace = Trace::parse(field.text()?),
                6 => bounds.retries = field.u32()?,
                7 => bounds.maximum_age = Duration::from_secs(field.u64()?),
                8 => bounds.on_success = destination(field.nested()?)?,
                9 => bounds.on_failure = destination(field.nested()?)?,
                10 => bounds.dead_letter = destination(field.nested()?)?,
                11 => context = Some(field.text()?.to_owned()),
                _ => {}
            }
        }
        Ok(function
            .zip(qualifier)
            .zip(trace)
            .map(|((function, qualifier), trace)| Self {
                function,
                qualifier,
                arn,
                payload,
                context,
                trace,
                bounds,
            }))
    }
}

fn destination(mut fields: Reader) -> Result<Option<(FunctionName, Qualifier)>, aloft_codec::Error> {
    let (mut function, mut qualifier) = (None, None);
    while let Some(field) = fields.next()? {
        match field.number() {
            1 => function = field.text()?.parse().ok(),
            2 => qualifier = field.text()?.parse().ok(),
            _ => {}
        }
    }
    Ok(function.zip(qualifier))
}
