//! Text as a Dockerfile, as the trigger of one, as a word with variables, as `.dockerignore`.

#![no_main]

use carrack_images::build::{Lexer, glob, ignore::Ignore, parse, parse_trigger};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(file) = parse(&text) {
        assert!(!file.stages.is_empty());
        let lexer = Lexer::new(file.escape);
        for step in file.stages.iter().flat_map(|s| &s.steps) {
            let _ = lexer.words(&step.code, &|name| (name.len() < 4).then(|| "a*b".into()));
        }
    }
    let _ = parse_trigger(&text);
    let (left, right) = text.split_once('\n').unwrap_or((&text, "a/b"));
    for escape in ['\\', '`'] {
        let _ = Lexer::new(escape).word(left, &|_| Some(right.into()));
        let _ = Lexer::new(escape).text(&text, &|_| None);
    }
    let _ = glob::matches(left, right);
    if let Ok(ignore) = Ignore::parse(&text) {
        ignore.leaves_out(right);
    }
});
