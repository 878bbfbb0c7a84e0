//! One CEL expression: compiled under the allow-lists, evaluated, and explained where it says no.
//!
//! Never evaluates a name or function that was not on the lists when it was compiled.

use std::{collections::HashMap, sync::Arc, thread};

use cel::{
    Context, ExecutionError, IdedExpr, Program,
    common::ast::{EntryExpr, Expr, LiteralValue, operators},
    extractors::This,
};
use serde_json::Value;

/// How deep brackets may nest: the simulator's own bound, the parser recurses.
const NESTING: usize = 32;
/// The stack on which expressions are parsed and evaluated: the parser takes over 100 KiB a bracket in a debug build.
const STACK_BYTES: usize = 256 * 1024 * 1024;
/// How much of a value an explanation shows, in characters.
const SHOWN: usize = 120;

/// The operators and functions an expression may use.
///
/// `extract` is documented by the AWS default mapping; the other named functions are unverified.
const FUNCTIONS: [&str; 31] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::INDEX,
    operators::NOT_STRICTLY_FALSE,
    operators::IN,
    "contains",
    "endsWith",
    "extract",
    "int",
    "join",
    "lowerAscii",
    "matches",
    "replace",
    "size",
    "split",
    "startsWith",
    "string",
];

/// An expression that may be evaluated.
#[derive(Debug)]
pub(super) struct Expression {
    program: Program,
}

impl Expression {
    /// Compiles `text`, which may name `variables` only.
    pub(super) fn compile(text: &str, variables: &'static [&'static str]) -> Result<Self, Uncompilable> {
        if nesting(text) > NESTING {
            return Err(Uncompilable::Nesting {
                expression: text.to_owned(),
            });
        }
        let compiled = on_a_large_stack(|| {
            let program = Program::compile(text).map_err(|why| Uncompilable::Syntax {
                expression: text.to_owned(),
                why,
            })?;
            Reader { text, variables }.read(program.expression(), &[])?;
            Ok(Self { program })
        });
        compiled.unwrap_or_else(|| {
            Err(Uncompilable::GaveUp {
                expression: text.to_owned(),
            })
        })
    }

    /// Evaluates the expression; what goes wrong is told in CEL's words.
    pub(super) fn evaluate(&self, context: &Context<'_, '_>) -> Result<cel::Value, String> {
        self.program.execute(context).map_err(|why| why.to_string())
    }

    /// Tells which part of a condition that was false was the reason.
    pub(super) fn why_not(&self, context: &Context<'_, '_>) -> String {
        why_not(self.program.expression(), context)
    }
}

/// Does `work` on a thread of its own with a large stack; `None` where the evaluator panics or no thread is to be had.
pub(super) fn on_a_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    thread::scope(|scope| {
        thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, work)
            .ok()?
            .join()
            .ok()
    })
}

fn nesting(text: &str) -> usize {
    let mut depth: usize = 0;
    let mut deepest = 0;
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _other => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Walks an expression and refuses what is on no list.
struct Reader<'a> {
    text: &'a str,
    variables: &'static [&'static str],
}

impl Reader<'_> {
    /// Reads `node`; `bound` are the variables that comprehensions around it declare.
    fn read(&self, node: &IdedExpr, bound: &[&str]) -> Result<(), Uncompilable> {
        match &node.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.variable(name, bound),
            Expr::Select(select) => self.read(&select.operand, bound),
            Expr::List(list) => self.all(&list.elements, bound),
            Expr::Call(call) => {
                self.function(&call.func_name, &call.args)?;
                if let Some(target) = &call.target {
                    self.read(target, bound)?;
                }
                self.all(&call.args, bound)
            }
            Expr::Comprehension(comprehension) => {
                self.read(&comprehension.iter_range, bound)?;
                self.read(&comprehension.accu_init, bound)?;
                let mut inner = bound.to_vec();
                inner.push(&comprehension.iter_var);
                inner.push(&comprehension.accu_var);
                inner.extend(comprehension.iter_var2.as_deref());
                self.read(&comprehension.loop_cond, &inner)?;
                self.read(&comprehension.loop_step, &inner)?;
                self.read(&comprehension.result, &inner)
            }
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.read(&entry.key, bound)?;
                    self.read(&entry.value, bound)
                }
                EntryExpr::StructField(field) => self.read(&field.value, bound),
            }),
            Expr::Struct(message) => Err(self.unsupported(&message.type_name)),
        }
    }

    fn all(&self, nodes: &[IdedExpr], bound: &[&str]) -> Result<(), Uncompilable> {
        nodes.iter().try_for_each(|node| self.read(node, bound))
    }

    fn variable(&self, name: &str, bound: &[&str]) -> Result<(), Uncompilable> {
        if self.variables.contains(&name) || bound.contains(&name) {
            Ok(())
        } else {
            Err(Uncompilable::Reference {
                expression: self.text.to_owned(),
                found: name.to_owned(),
                expected: self.variables,
            })
        }
    }

    fn function(&self, name: &str, arguments: &[IdedExpr]) -> Result<(), Uncompilable> {
        if !FUNCTIONS.contains(&name) {
            return Err(self.unsupported(name));
        }
        if name != "extract" {
            return Ok(());
        }
        match arguments {
            [
                IdedExpr {
                    expr: Expr::Literal(LiteralValue::String(template)),
                    ..
                },
            ] if Template::read(template.inner()).is_some() => Ok(()),
            _ => Err(Uncompilable::Template {
                expression: self.text.to_owned(),
            }),
        }
    }

    fn unsupported(&self, name: &str) -> Uncompilable {
        Uncompilable::Function {
            expression: self.text.to_owned(),
            found: name.to_owned(),
        }
    }
}

/// An `extract` template: the text before and after its one `{name}`.
struct Template<'a> {
    before: &'a str,
    after: &'a str,
}

impl<'a> Template<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (before, rest) = text.split_once('{')?;
        let (name, after) = rest.split_once('}')?;
        let plain = !name.is_empty() && ![before, name, after].iter().any(|part| part.contains(['{', '}']));
        plain.then_some(Self { before, after })
    }

    /// Returns what stands at the placeholder, "" where the template does not match.
    ///
    /// First occurrence of the text before, then first occurrence of the text after; an empty one is the string's end.
    fn apply<'t>(&self, text: &'t str) -> &'t str {
        let Some((_, rest)) = text.split_once(self.before) else {
            return "";
        };
        if self.after.is_empty() {
            return rest;
        }
        rest.split_once(self.after).map_or("", |(found, _)| found)
    }
}

/// Google's `extract`, which no CEL library has.
#[expect(clippy::needless_pass_by_value, reason = "the signature that the evaluator calls")]
pub(super) fn extract(This(text): This<Arc<String>>, template: Arc<String>) -> Result<cel::Value, ExecutionError> {
    Template::read(&template)
        .map(|template| cel::Value::from(template.apply(&text).to_owned()))
        .ok_or_else(|| ExecutionError::function_error("extract", "the template has not exactly one {name}"))
}

/// Returns the CEL value of a JSON value; whole numbers are `int`, others `double`.
pub(super) fn from_json(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(truth) => cel::Value::Bool(*truth),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => cel::Value::Int(whole),
            (None, Some(real)) => cel::Value::Float(real),
            (None, None) => cel::Value::Null,
        },
        Value::String(text) => text.clone().into(),
        Value::Array(items) => items.iter().map(from_json).collect::<Vec<_>>().into(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), from_json(value)))
            .collect::<HashMap<_, _>>()
            .into(),
    }
}

/// Returns the texts of a list of strings, `None` for anything else.
pub(super) fn texts(value: &cel::Value) -> Option<Vec<String>> {
    let cel::Value::List(items) = value else {
        return None;
    };
    items
        .iter()
        .map(|item| match item {
            cel::Value::String(text) => Some(text.to_string()),
            _ => None,
        })
        .collect()
}

/// Shows a value in an explanation, cut at a bound.
pub(super) fn show(value: &cel::Value) -> String {
    let text = value
        .json()
        .map_or_else(|_why| value.type_of().to_string(), |json| json.to_string());
    text.chars().take(SHOWN).collect()
}

fn why_not(node: &IdedExpr, context: &Context<'_, '_>) -> String {
    let Expr::Call(call) = &node.expr else {
        return format!("{} is not true", name(node));
    };
    let value = |node: &IdedExpr| {
        context
            .resolve(node)
            .map_or_else(|why| why.to_string(), |value| show(&value))
    };
    match (call.func_name.as_str(), call.target.as_deref(), call.args.as_slice()) {
        (operators::LOGICAL_AND, None, parts) => parts
            .iter()
            .find(|part| context.resolve(part) != Ok(cel::Value::Bool(true)))
            .map_or_else(|| name(node), |part| why_not(part, context)),
        (operators::LOGICAL_OR, None, parts) => parts
            .iter()
            .map(|part| why_not(part, context))
            .collect::<Vec<_>>()
            .join("; and "),
        (operators::EQUALS, None, [left, right]) => {
            format!("{} is {}, expected {}", name(left), value(left), value(right))
        }
        (operators::NOT_EQUALS, None, [left, right]) => {
            format!(
                "{} is {}, expected another than {}",
                name(left),
                value(left),
                value(right)
            )
        }
        (operators::IN, None, [left, right]) => {
            format!("{} is {}, expected one of {}", name(left), value(left), value(right))
        }
        (function, Some(target), [argument]) => {
            format!(
                "{} is {}, expected {function}({})",
                name(target),
                value(target),
                value(argument)
            )
        }
        (function, _, _) => format!("{function} is not true"),
    }
}

/// Names a variable as it was written; other expressions have no name.
fn name(node: &IdedExpr) -> String {
    match &node.expr {
        Expr::Ident(name) => name.clone(),
        Expr::Select(select) if select.test => format!("has({}.{})", name(&select.operand), select.field),
        Expr::Select(select) => format!("{}.{}", name(&select.operand), select.field),
        _ => "an expression".to_owned(),
    }
}

/// An expression that Google would refuse, or that this evaluator cannot evaluate as Google does.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Uncompilable {
    /// A function that Google is not known to have, or that this evaluator has not.
    #[error("the expression `{expression}` uses `{found}`, which is none of the supported functions")]
    Function {
        /// The expression.
        expression: String,
        /// The function.
        found: String,
    },
    /// The evaluator failed on the expression.
    #[error("the evaluator gave up on the expression `{expression}`, expected it to compile")]
    GaveUp {
        /// The expression.
        expression: String,
    },
    /// Brackets nest too deep for this evaluator.
    #[error("the brackets of the expression `{expression}` nest deeper than {NESTING}")]
    Nesting {
        /// The expression.
        expression: String,
    },
    /// A name that such an expression has not.
    #[error("the expression `{expression}` names `{found}`, expected {}", expected.join(", "))]
    Reference {
        /// The expression.
        expression: String,
        /// The name.
        found: String,
        /// The names there are.
        expected: &'static [&'static str],
    },
    /// The text is no CEL.
    #[error("the expression `{expression}` is no CEL")]
    Syntax {
        /// The expression.
        expression: String,
        /// What the parser found.
        #[source]
        why: cel::ParseErrors,
    },
    /// `extract` without a literal template that has exactly one `{name}`.
    #[error("the expression `{expression}` calls extract, expected one literal template with exactly one {{name}}")]
    Template {
        /// The expression.
        expression: String,
    },
}

impl Uncompilable {
    /// Returns Google's status for such an expression.
    pub fn code(&self) -> &'static str {
        "INVALID_ARGUMENT"
    }
}
