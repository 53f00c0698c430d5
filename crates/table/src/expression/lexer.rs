//! Text to tokens, each with its place, so that a syntax error can show what stands around it.

/// A piece of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// A keyword, a function's name or an attribute's name. It begins with a letter: `_a` needs a `#name`, as in DynamoDB.
    Word(&'a str),
    /// `#name`, with its `#`.
    Name(&'a str),
    /// `:value`, with its `:`.
    Value(&'a str),
    /// Digits, which only an index may be.
    Number(&'a str),
    /// Punctuation or an operator.
    Symbol(&'a str),
    /// A character that belongs nowhere.
    Stray(&'a str),
    /// The end of the text.
    End,
}

/// A token and where it stands, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lexed<'a> {
    pub(crate) token: Token<'a>,
    pub(crate) from: usize,
    pub(crate) to: usize,
}

/// Cuts the text into tokens; the last is [`Token::End`]. It never fails: what is wrong shows to the parser as
/// [`Token::Stray`].
pub(crate) fn lex(text: &str) -> Vec<Lexed<'_>> {
    let mut tokens = Vec::new();
    let mut from = 0;
    while let Some(rest) = text.get(from..).filter(|rest| !rest.is_empty()) {
        let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0c']).len();
        if blank > 0 {
            from += blank;
            continue;
        }
        let length = length_of_token(rest);
        let (piece, _) = rest.split_at(length);
        let token = match piece.bytes().next().unwrap_or(b' ') {
            b'#' if length > 1 => Token::Name(piece),
            b':' if length > 1 => Token::Value(piece),
            b'0'..=b'9' => Token::Number(piece),
            b'a'..=b'z' | b'A'..=b'Z' => Token::Word(piece),
            b'(' | b')' | b'[' | b']' | b',' | b'.' | b'=' | b'<' | b'>' | b'+' | b'-' => {
                Token::Symbol(piece)
            }
            _ => Token::Stray(piece),
        };
        tokens.push(Lexed {
            token,
            from,
            to: from + length,
        });
        from += length;
    }
    tokens.push(Lexed {
        token: Token::End,
        from: text.len(),
        to: text.len(),
    });
    tokens
}

fn length_of_token(rest: &str) -> usize {
    let word = |text: &str| {
        text.bytes()
            .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
            .count()
    };
    match rest.bytes().next().unwrap_or(b' ') {
        b'#' | b':' => 1 + rest.get(1..).map_or(0, word),
        b'0'..=b'9' => rest.bytes().take_while(u8::is_ascii_digit).count(),
        b'a'..=b'z' | b'A'..=b'Z' => word(rest),
        b'<' if rest.starts_with("<=") || rest.starts_with("<>") => 2,
        b'>' if rest.starts_with(">=") => 2,
        _ => rest.chars().next().map_or(1, char::len_utf8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_where_tokens_end() {
        let tokens: Vec<Token<'_>> = lex("#a.b[0]<=:v AND x<>size(é)")
            .into_iter()
            .map(|l| l.token)
            .collect();
        use Token::*;
        assert_eq!(
            tokens,
            [
                Name("#a"),
                Symbol("."),
                Word("b"),
                Symbol("["),
                Number("0"),
                Symbol("]"),
                Symbol("<="),
                Value(":v"),
                Word("AND"),
                Word("x"),
                Symbol("<>"),
                Word("size"),
                Symbol("("),
                Stray("é"),
                Symbol(")"),
                End
            ]
        );
    }

    #[test]
    fn a_lone_hash_or_colon_is_stray() {
        assert_eq!(lex("# :")[0].token, Token::Stray("#"));
        assert_eq!(lex("# :")[1].token, Token::Stray(":"));
    }
}
