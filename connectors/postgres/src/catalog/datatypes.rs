//! Types from the catalog.

use super::{number, text, texts};
use crate::{
    datatype::{Kind, TypeInfo, TypeRegistry},
    error::Result,
    net::Sql,
};

/// Reads all types that columns may be of; but for rows of tables, which are types too.
pub async fn load_types(sql: &Sql, types: &mut TypeRegistry) -> Result<()> {
    let query = "SELECT t.oid, t.typname, t.typtype, t.typelem, t.typbasetype, t.typtypmod, t.typcategory, \
                 (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid), t.typdelim \
                 FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem \
                 LEFT JOIN pg_class c ON c.oid = greatest(t.typrelid, e.typrelid) \
                 WHERE t.typtype IN ('b', 'c', 'd', 'e', 'r', 'm') AND coalesce(c.relkind, 'c') = 'c'";
    for row in sql.rows("the types can't be read", query).await? {
        let element: u32 = number(&row, 3)?;
        let kind = match (text(&row, 2)?, text(&row, 6)?) {
            ("d", _) => Kind::Domain(number(&row, 4)?, number(&row, 5)?),
            ("e", _) => Kind::Enum(texts(super::optional(&row, 7))),
            ("r" | "m", _) => Kind::Range,
            ("c", _) => Kind::Composite,
            (_, "A") if element != 0 => Kind::Array(element, text(&row, 8)?.bytes().next().unwrap_or(b',')),
            _ => Kind::Base,
        };
        types.insert(number(&row, 0)?, TypeInfo { name: text(&row, 1)?.to_owned(), kind });
    }
    Ok(())
}
