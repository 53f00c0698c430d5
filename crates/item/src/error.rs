//! Why something is not a value. The texts are DynamoDB's own, because SDKs and tests compare them.

use aloft_base::ErrorKind;

/// Why something is not a value, a number or an item.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The JSON does not have the shape of an attribute value at all; on the wire a `SerializationException`.
    #[error("{0}")]
    Shape(String),
    /// No type, or none that is known.
    #[error("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")]
    NoType,
    /// More than one type.
    #[error(
        "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
    )]
    ManyTypes,
    /// `{"NULL": false}`.
    #[error(
        "One or more parameter values were invalid: Null attribute value types must have the value of true"
    )]
    NotNull,
    /// A set without members.
    #[error("One or more parameter values were invalid: {0}")]
    EmptySet(&'static str),
    /// A set of strings or bytes with a member that comes twice.
    #[error("One or more parameter values were invalid: Input collection {0} contains duplicates.")]
    Duplicates(String),
    /// A set of numbers with a member that comes twice.
    #[error("Input collection contains duplicates")]
    DuplicateNumbers,
    /// Text that is no number.
    #[error("The parameter cannot be converted to a numeric value: {0}")]
    NotANumber(String),
    /// No text where a number is expected.
    #[error("The parameter cannot be converted to a numeric value")]
    NoNumber,
    /// A number of too large a magnitude.
    #[error("Number overflow. Attempting to store a number with magnitude larger than supported range")]
    Overflow,
    /// A number of too small a magnitude.
    #[error("Number underflow. Attempting to store a number with magnitude smaller than supported range")]
    Underflow,
    /// A number with too many digits.
    #[error("Attempting to store more than 38 significant digits in a Number")]
    TooPrecise,
    /// A document that is nested too deeply.
    #[error(
        "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"
    )]
    TooDeep,
    /// An attribute's name that is too long.
    #[error(
        "One or more parameter values were invalid: an attribute name of {0} bytes is over the limit of 65535"
    )]
    NameTooLong(usize),
}

impl Error {
    /// What sort of failure it is.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}
