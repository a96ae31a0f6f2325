//! What `#[config(...)]` says on a field.

use syn::{Attribute, Expr, ExprLit, ExprUnary, Lit, LitStr, Path, Result, Token, UnOp, punctuated::Punctuated};

/// The attributes of one field.
#[derive(Default)]
pub struct FieldAttributes {
    pub key: Option<LitStr>,
    pub default: Option<LitStr>,
    pub required: bool,
    pub importance: Option<LitStr>,
    pub group: Option<LitStr>,
    pub order: Option<i32>,
    pub width: Option<LitStr>,
    pub display: Option<LitStr>,
    pub one_of: Vec<LitStr>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub non_empty: bool,
    pub secret: bool,
    pub class: bool,
    pub flatten: bool,
    pub check: Option<Path>,
    pub dependents: Vec<LitStr>,
    pub documentation: String,
}

impl FieldAttributes {
    pub fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut read = Self { documentation: documentation(attributes), ..Self::default() };
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("config")) {
            attribute.parse_nested_meta(|meta| {
                let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
                match name.as_str() {
                    "key" => read.key = Some(meta.value()?.parse()?),
                    "default" => read.default = Some(meta.value()?.parse()?),
                    "importance" => read.importance = Some(meta.value()?.parse()?),
                    "group" => read.group = Some(meta.value()?.parse()?),
                    "width" => read.width = Some(meta.value()?.parse()?),
                    "display" => read.display = Some(meta.value()?.parse()?),
                    "check" => read.check = Some(meta.value()?.parse()?),
                    "order" => read.order = Some(number(&meta.value()?.parse()?)? as i32),
                    "min" => read.min = Some(number(&meta.value()?.parse()?)?),
                    "max" => read.max = Some(number(&meta.value()?.parse()?)?),
                    "required" => read.required = true,
                    "non_empty" => read.non_empty = true,
                    "secret" => read.secret = true,
                    "class" => read.class = true,
                    "flatten" => read.flatten = true,
                    "one_of" => read.one_of = texts(&meta)?,
                    "dependents" => read.dependents = texts(&meta)?,
                    _ => return Err(meta.error("unknown attribute; see the documentation of derive(ConnectorConfig)")),
                }
                Ok(())
            })?;
        }
        Ok(read)
    }
}

fn texts(meta: &syn::meta::ParseNestedMeta<'_>) -> Result<Vec<LitStr>> {
    let content;
    syn::parenthesized!(content in meta.input);
    Ok(Punctuated::<LitStr, Token![,]>::parse_terminated(&content)?.into_iter().collect())
}

fn number(expression: &Expr) -> Result<f64> {
    match expression {
        Expr::Lit(ExprLit { lit: Lit::Int(int), .. }) => int.base10_parse(),
        Expr::Lit(ExprLit { lit: Lit::Float(float), .. }) => float.base10_parse(),
        Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. }) => number(expr).map(|number| -number),
        _ => Err(syn::Error::new_spanned(expression, "expected a number")),
    }
}

/// The doc comment: lines of a paragraph joined, paragraphs apart by a line break.
fn documentation(attributes: &[Attribute]) -> String {
    let mut text = String::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
        let Ok(meta) = attribute.meta.require_name_value() else { continue };
        let Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) = &meta.value else { continue };
        let line = line.value();
        let line = line.trim();
        if line.is_empty() {
            text.push('\n');
        } else {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push(' ');
            }
            text.push_str(line);
        }
    }
    text.trim().to_owned()
}
