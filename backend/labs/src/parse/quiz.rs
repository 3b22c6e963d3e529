//! Quizzes: a list whose items all begin with `( )`/`(x)` (one is right) or `[ ]`/`[x]` (several are), below its question.

use super::Fault;
use crate::lab::Answer;

/// An item's source without its list marker; `None` when no list marker leads it.
pub(super) fn item_text(source: &str) -> Option<&str> {
    let source = source.trim_start();
    let after = match source.strip_prefix(['-', '*', '+']) {
        Some(after) => after,
        None => {
            let digits = source.trim_start_matches(|c: char| c.is_ascii_digit());
            digits.strip_prefix(['.', ')'])?
        }
    };
    Some(after.trim())
}

/// Reads a list as a quiz's choices; `None` when it is an ordinary list.
pub(super) fn choices(items: &[&str]) -> Option<Result<Answer, Fault>> {
    let marked: Vec<Option<(Form, bool, String)>> = items.iter().map(|item| choice(item)).collect();
    if marked.iter().all(Option::is_none) {
        return None;
    }
    let Some(marked) = marked.into_iter().collect::<Option<Vec<_>>>() else {
        return Some(Err(Fault::MixedQuiz));
    };
    let form = marked[0].0;
    if marked.iter().any(|(other, ..)| *other != form) {
        return Some(Err(Fault::MixedQuiz));
    }
    let right: Vec<usize> =
        marked.iter().enumerate().filter(|(_, (_, right, _))| *right).map(|(index, _)| index).collect();
    let choices = marked.into_iter().map(|(.., text)| text).collect();
    Some(match (form, right.as_slice()) {
        (_, []) => Err(Fault::NothingRight),
        (Form::Single, [right]) => Ok(Answer::Single { choices, right: *right }),
        (Form::Single, _) => Err(Fault::SeveralRight),
        (Form::Multiple, _) => Ok(Answer::Multiple { choices, right }),
    })
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    Single,
    Multiple,
}

fn choice(item: &str) -> Option<(Form, bool, String)> {
    const MARKS: &[(&str, Form, bool)] = &[
        ("( )", Form::Single, false),
        ("(x)", Form::Single, true),
        ("[ ]", Form::Multiple, false),
        ("[x]", Form::Multiple, true),
    ];
    MARKS.iter().find_map(|(mark, form, right)| {
        let text = item.strip_prefix(mark)?.strip_prefix(' ')?;
        Some((*form, *right, text.trim().to_owned()))
    })
}
