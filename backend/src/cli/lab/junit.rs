//! A report that build servers read.

use std::fmt::Write;

use drydock_labs::rehearsal::Outcome;

/// One suite per lab, one case per step.
pub fn report(labs: &[(String, Vec<Outcome>)]) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for (lab, outcomes) in labs {
        let failures = outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
        let (name, tests) = (escaped(lab), outcomes.len());
        let _ = writeln!(xml, "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\">");
        for outcome in outcomes {
            let (step, seconds) = (escaped(&outcome.step), outcome.took.as_secs_f32());
            let _ = write!(xml, "    <testcase classname=\"{name}\" name=\"{step}\" time=\"{seconds:.3}\"");
            match &outcome.failure {
                None => xml.push_str("/>\n"),
                Some(failure) => {
                    let (message, terminals) = (escaped(&failure.miss.to_string()), failure.terminals.iter());
                    let shown: String = terminals.map(|(name, text)| format!("{name}\n{text}\n")).collect();
                    let text = escaped(&shown);
                    let _ = write!(
                        xml,
                        ">\n      <failure message=\"{message}\">{text}</failure>\n    </testcase>\n"
                    );
                }
            }
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// Control characters are no XML at all, however they are written.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(letter),
            control if control.is_control() => {}
            plain => out.push(plain),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use drydock_labs::rehearsal::{Failure, Miss};

    use super::*;

    #[test]
    fn a_failed_step_carries_its_reason_and_its_terminal() {
        let passed = Outcome { step: "A & B".to_owned(), took: Duration::from_millis(1500), failure: None };
        let failure = Failure {
            miss: Miss::NoPrompt { line: 7 },
            terminals: vec![("node1 · 1".to_owned(), "$ <x>\u{7}".to_owned())],
        };
        let failed = Outcome { step: "C".to_owned(), took: Duration::ZERO, failure: Some(failure) };
        assert_eq!(
            report(&[("demo".to_owned(), vec![passed, failed])]),
            "\
<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<testsuites>
  <testsuite name=\"demo\" tests=\"2\" failures=\"1\">
    <testcase classname=\"demo\" name=\"A &amp; B\" time=\"1.500\"/>
    <testcase classname=\"demo\" name=\"C\" time=\"0.000\">
      <failure message=\"line 7: no prompt came back\">node1 · 1
$ &lt;x&gt;
</failure>
    </testcase>
  </testsuite>
</testsuites>
"
        );
    }
}
