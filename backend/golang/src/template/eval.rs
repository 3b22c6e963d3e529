//! From a tree and a value to text.

use super::parse::{Branch, Command, Node, Operand, Pipeline, Span, Template, Term};
use super::{Object, TemplateError, Value, functions};

impl Template {
    pub fn execute(&self, root: &dyn Object) -> Result<String, TemplateError> {
        let mut out = String::new();
        let run = Run { template: self, root };
        run.list(&self.nodes, &Value::Object(root), &mut out)?;
        Ok(out)
    }
}

struct Run<'a> {
    template: &'a Template,
    root: &'a dyn Object,
}

impl<'a> Run<'a> {
    fn wrong(&self, span: Span, column_at: usize, why: String) -> TemplateError {
        let Template { name, text, .. } = self.template;
        let before = &text[..column_at];
        let line = before.matches('\n').count() + 1;
        let column = column_at - before.rfind('\n').map_or(0, |newline| newline + 1);
        let at = text[span.at..span.end].to_owned();
        TemplateError::Execute { name: name.clone(), line, column, at, why }
    }

    fn list(&self, nodes: &[Node], dot: &Value<'a>, out: &mut String) -> Result<(), TemplateError> {
        for node in nodes {
            match node {
                Node::Text(text) => out.push_str(text),
                Node::Show(pipeline) => out.push_str(&self.pipeline(pipeline, dot)?.to_string()),
                Node::Branch { kind, pipeline, then, otherwise } => {
                    let value = self.pipeline(pipeline, dot)?;
                    if !value.is_true() {
                        self.list(otherwise, dot, out)?;
                        continue;
                    }
                    match (kind, value) {
                        (Branch::If, _) => self.list(then, dot, out)?,
                        (Branch::With, value) => self.list(then, &value, out)?,
                        (Branch::Range, Value::List(items)) => {
                            items.iter().try_for_each(|item| self.list(then, item, out))?;
                        }
                        (Branch::Range, Value::Map(items)) => {
                            items.values().try_for_each(|item| self.list(then, item, out))?;
                        }
                        (Branch::Range, other) => {
                            let span = pipeline.commands[0].span;
                            return Err(self.wrong(
                                span,
                                span.at,
                                format!("range can't iterate over {other}"),
                            ));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn pipeline(&self, pipeline: &Pipeline, dot: &Value<'a>) -> Result<Value<'a>, TemplateError> {
        let mut answer = None;
        for command in &pipeline.commands {
            answer = Some(self.command(command, dot, answer)?);
        }
        Ok(answer.unwrap_or(Value::Nil))
    }

    fn command(
        &self,
        command: &Command,
        dot: &Value<'a>,
        piped: Option<Value<'a>>,
    ) -> Result<Value<'a>, TemplateError> {
        let [first, rest @ ..] = command.operands.as_slice() else { return Ok(Value::Nil) };
        let mut arguments = Vec::new();
        for operand in rest {
            arguments.push(self.operand(operand, dot, Vec::new())?);
        }
        arguments.extend(piped);
        if let Term::Function(name) = &first.term
            && first.fields.is_empty()
        {
            return functions::call(name, &arguments).map_err(|why| {
                self.wrong(command.span, command.span.at, format!("error calling {name}: {why}"))
            });
        }
        self.operand(first, dot, arguments)
    }

    fn operand(
        &self,
        operand: &Operand,
        dot: &Value<'a>,
        arguments: Vec<Value<'a>>,
    ) -> Result<Value<'a>, TemplateError> {
        let mut value = match &operand.term {
            Term::Dot => dot.clone(),
            Term::Root => Value::Object(self.root),
            Term::Nil => Value::Nil,
            Term::Bool(truth) => Value::Bool(*truth),
            Term::Int(number) => Value::Int(*number),
            Term::Text(text) => Value::Text(text.clone()),
            Term::Function(name) => functions::call(name, &[]).map_err(|why| {
                self.wrong(operand.span, operand.span.at, format!("error calling {name}: {why}"))
            })?,
            Term::Group(pipeline) => self.pipeline(pipeline, dot)?,
        };
        let Some((last, path)) = operand.fields.split_last() else {
            return if arguments.is_empty() {
                Ok(value)
            } else {
                let why = "can't give argument to non-function".to_owned();
                Err(self.wrong(operand.span, operand.span.at, why))
            };
        };
        for field in path {
            value = self.field(operand, &value, field, &[])?;
        }
        self.field(operand, &value, last, &arguments)
    }

    fn field(
        &self,
        operand: &Operand,
        value: &Value<'a>,
        (name, at): &(String, usize),
        arguments: &[Value<'a>],
    ) -> Result<Value<'a>, TemplateError> {
        let wrong = |why: String| Err(self.wrong(operand.span, *at, why));
        match value {
            Value::Map(map) => Ok(map.get(name).cloned().unwrap_or(Value::Nil)),
            Value::Object(object) => match object.get(name, arguments) {
                Some(Ok(value)) => Ok(value),
                Some(Err(why)) => wrong(format!("error calling {name}: {why}")),
                None => wrong(format!("can't evaluate field {name} in type {}", object.type_name())),
            },
            Value::Nil => wrong(format!("nil data; no entry for key \"{name}\"")),
            other => wrong(format!("can't evaluate field {name} in type {}", other.type_name())),
        }
    }
}
