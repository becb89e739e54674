//! Words of `ENV`, `LABEL` and `ARG`, with their quotes, which are taken away only after expansion.

/// Splits at blanks outside of quotes.
pub(super) fn split(text: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut is_word = false;
    let mut quote = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if quote.is_none() && c.is_whitespace() {
            if is_word {
                words.push(std::mem::take(&mut word));
                is_word = false;
            }
            continue;
        }
        is_word = true;
        if c == escape && quote != Some('\'') {
            // At the end of the line it escapes nothing.
            if let Some(next) = chars.next() {
                word.push(c);
                word.push(next);
            }
            continue;
        }
        match quote {
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(q) if c == q => quote = None,
            _ => {}
        }
        word.push(c);
    }
    if is_word {
        words.push(word);
    }
    words
}
