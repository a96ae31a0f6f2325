//! The code behind `#[derive(ConnectorConfig)]`.

use crate::attributes::FieldAttributes;
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use std::collections::{HashMap, HashSet};
use syn::{Data, DeriveInput, Error, Field, Fields, Ident, LitStr, Path, Result, Type, spanned::Spanned};

/// One field with the key it stands for.
struct KeyField<'a> {
    ident: &'a Ident,
    kind: &'a Type,
    key: LitStr,
    attributes: FieldAttributes,
    order: i32,
}

pub fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let fields = named_fields(input)?;
    let mut next_order = HashMap::new();
    let mut seen = HashSet::new();
    let mut keys = Vec::new();
    for field in fields {
        let field = KeyField::read(field, &mut next_order)?;
        if !field.attributes.flatten && !seen.insert(field.key.value()) {
            return Err(Error::new(field.key.span(), "two fields have this key"));
        }
        keys.push(field);
    }
    let rules = rules(input)?.into_iter().map(|rule| quote!(::levada_connector_api::config::Rule::new(#rule)));
    let name = &input.ident;
    let (generics, types, wheres) = input.generics.split_for_impl();
    let definitions = keys.iter().map(KeyField::definition).collect::<Result<Vec<_>>>()?;
    let idents: Vec<_> = keys.iter().map(|key| key.ident).collect();
    let reads = keys.iter().map(KeyField::reading);
    Ok(quote! {
        #[automatically_derived]
        impl #generics ::levada_connector_api::config::ConnectorConfig for #name #types #wheres {
            fn config_def() -> ::levada_connector_api::config::ConfigDef {
                let mut def = ::levada_connector_api::config::ConfigDef {
                    keys: ::std::vec::Vec::new(),
                    rules: ::std::vec![#(#rules),*],
                    ..::std::default::Default::default()
                };
                #(#definitions)*
                def
            }

            fn read(reader: &mut ::levada_connector_api::config::Reader<'_>) -> ::std::option::Option<Self> {
                // All are read before the first missing one ends it: every error is told at once.
                #(let #idents = #reads;)*
                ::std::option::Option::Some(Self { #(#idents: #idents?),* })
            }
        }
    })
}

fn named_fields(input: &DeriveInput) -> Result<impl Iterator<Item = &Field>> {
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => Ok(fields.named.iter()),
            other => Err(Error::new(other.span(), "ConnectorConfig needs named fields")),
        },
        _ => Err(Error::new(input.span(), "ConnectorConfig can be derived for structs only")),
    }
}

fn rules(input: &DeriveInput) -> Result<Vec<Path>> {
    let mut rules = Vec::new();
    for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("config")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("rule") {
                return Err(meta.error("the struct knows `rule = function` only"));
            }
            rules.push(meta.value()?.parse()?);
            Ok(())
        })?;
    }
    Ok(rules)
}

impl<'a> KeyField<'a> {
    fn read(field: &'a Field, next_order: &mut HashMap<String, i32>) -> Result<Self> {
        let attributes = FieldAttributes::read(&field.attrs)?;
        let ident =
            field.ident.as_ref().ok_or_else(|| Error::new(field.span(), "ConnectorConfig needs named fields"))?;
        let key = attributes.key.clone().unwrap_or_else(|| {
            LitStr::new(&ident.to_string().trim_start_matches("r#").replace('_', "."), ident.span())
        });
        if attributes.required && (attributes.default.is_some() || is_option(&field.ty)) {
            return Err(Error::new(field.span(), "a required key has neither a default nor an Option type"));
        }
        if attributes.documentation.is_empty() && !attributes.flatten {
            return Err(Error::new(field.span(), "the doc comment is missing: it is the key's documentation"));
        }
        let order = match (&attributes.group, attributes.order) {
            (_, Some(order)) => order,
            (None, None) => -1,
            (Some(group), None) => {
                let next = next_order.entry(group.value()).or_insert(0);
                *next += 1;
                *next
            }
        };
        Ok(Self { ident, kind: &field.ty, key, attributes, order })
    }

    /// The expression that reads the field.
    fn reading(&self) -> TokenStream {
        let Self { kind, key, attributes, .. } = self;
        if attributes.flatten {
            return quote!(<#kind as ::levada_connector_api::config::ConnectorConfig>::read(reader));
        }
        quote!(reader.field::<#kind>(#key))
    }

    /// The statement that adds the key, or the keys, to `def`.
    fn definition(&self) -> Result<TokenStream> {
        let Self { kind, key, attributes, order, .. } = self;
        if attributes.flatten {
            return Ok(quote! {
                def = def.merged(<#kind as ::levada_connector_api::config::ConnectorConfig>::config_def());
            });
        }
        let documentation = &attributes.documentation;
        let default = option(attributes.default.as_ref().map(|text| quote!(#text.to_owned())));
        let has_default = attributes.default.is_some();
        let group = option(attributes.group.as_ref().map(|text| quote!(#text.to_owned())));
        let importance = variant(attributes.importance.as_ref(), "Medium", &["High", "Medium", "Low"])?;
        let width = variant(attributes.width.as_ref(), "None", &["None", "Short", "Medium", "Long"])?;
        let display = attributes.display.as_ref().unwrap_or(key);
        let dependents = &attributes.dependents;
        let check = self.check();
        let type_of = match (attributes.secret, attributes.class) {
            (true, _) => quote!(::levada_connector_api::config::Type::Password),
            (_, true) => quote!(::levada_connector_api::config::Type::Class),
            _ => quote!(<#kind as ::levada_connector_api::config::ConfigField>::TYPE),
        };
        Ok(quote! {
            def.keys.push(::levada_connector_api::config::Key {
                name: #key.to_owned(),
                kind: #type_of,
                required: !#has_default && !<#kind as ::levada_connector_api::config::ConfigField>::OPTIONAL,
                default: #default,
                check: #check,
                importance: ::levada_connector_api::config::Importance::#importance,
                documentation: #documentation.to_owned(),
                group: #group,
                order_in_group: #order,
                width: ::levada_connector_api::config::Width::#width,
                display_name: #display.to_owned(),
                dependents: ::std::vec![#(#dependents.to_owned()),*],
            });
        })
    }

    fn check(&self) -> TokenStream {
        let Self { kind, attributes, .. } = self;
        let mut checks = Vec::new();
        if attributes.non_empty {
            checks.push(quote!(::levada_connector_api::config::Check::NonEmpty));
        }
        if attributes.min.is_some() || attributes.max.is_some() {
            let (min, max) = (option(attributes.min.map(|n| quote!(#n))), option(attributes.max.map(|n| quote!(#n))));
            checks.push(quote!(::levada_connector_api::config::Check::Range { min: #min, max: #max }));
        }
        if !attributes.one_of.is_empty() {
            let names = &attributes.one_of;
            checks.push(quote!(::levada_connector_api::config::Check::OneOf(::std::vec![#(#names.to_owned()),*])));
        }
        if let Some(check) = &attributes.check {
            checks.push(quote!(::levada_connector_api::config::Check::Custom(#check)));
        }
        let of_type = quote!(<#kind as ::levada_connector_api::config::ConfigField>::check());
        match checks.as_slice() {
            [] => of_type,
            _ => quote!(::levada_connector_api::config::Check::All(::std::vec![#of_type, #(#checks),*])),
        }
    }
}

fn is_option(kind: &Type) -> bool {
    matches!(kind, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Option"))
}

fn option(value: Option<TokenStream>) -> TokenStream {
    match value {
        Some(value) => quote!(::std::option::Option::Some(#value)),
        None => quote!(::std::option::Option::None),
    }
}

fn variant(given: Option<&LitStr>, default: &str, known: &[&str]) -> Result<Ident> {
    let Some(given) = given else { return Ok(format_ident!("{default}")) };
    let found = known.iter().find(|name| name.eq_ignore_ascii_case(&given.value()));
    found
        .map(|name| format_ident!("{name}"))
        .ok_or_else(|| Error::new(given.span(), format!("one of {} is expected", known.join(", ").to_lowercase())))
}
