//! The code behind `#[derive(ConfigEnum)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Fields, LitStr, Result, Variant, spanned::Spanned};

pub fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new(input.span(), "ConfigEnum can be derived for enums only"));
    };
    let mut names = Vec::new();
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new(variant.span(), "a variant of a ConfigEnum has no fields"));
        }
        names.push(text(variant)?);
    }
    let (name, variants) = (&input.ident, data.variants.iter().map(|variant| &variant.ident));
    Ok(quote! {
        #[automatically_derived]
        impl ::levada_connector_api::config::ConfigEnum for #name {
            const VARIANTS: &'static [(&'static str, Self)] = &[#((#names, Self::#variants)),*];
        }
    })
}

fn text(variant: &Variant) -> Result<String> {
    let mut given = None;
    for attribute in variant.attrs.iter().filter(|attribute| attribute.path().is_ident("config")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("name") {
                return Err(meta.error("a variant knows `name = \"...\"` only"));
            }
            given = Some(meta.value()?.parse::<LitStr>()?.value());
            Ok(())
        })?;
    }
    Ok(given.unwrap_or_else(|| kebab(&variant.ident.to_string())))
}

fn kebab(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}
