//! Stacks: the root file systems apps run on.

use database::query;

use super::listing::{Column, Table};
use super::record::{optional, record};
use super::{Store, StoreError, Tx};

record! {
    /// A row of `stacks`.
    StackRow { guid: String, name: String, description: String, created_at: i64, updated_at: Option<i64> }
}

pub(crate) static STACKS: Table = Table {
    select: "SELECT t.*",
    from: "FROM stacks t",
    also: "",
    order: "t.id",
    name: Some("t.name_key"),
    filters: &[("name", Column::Name("t.name_key"))],
};

impl Store {
    pub(crate) async fn stack_by_name(&self, name: &str) -> Result<Option<StackRow>, StoreError> {
        let row = query("SELECT * FROM stacks WHERE name_key = $1").bind(name.to_lowercase());
        optional(row.fetch_optional(self.db.reader()).await?)
    }
}

impl Tx {
    /// Makes a stack unless the name is known.
    pub(crate) async fn ensure_stack(
        &mut self,
        guid: &str,
        name: &str,
        description: &str,
    ) -> Result<(), StoreError> {
        let id = self.next_id().await?;
        query(
            "INSERT INTO stacks (id, guid, name, name_key, description, created_at, updated_at) VALUES ($1,$2,$3,$4,$5,$6,NULL) \
             ON CONFLICT (name_key) DO NOTHING",
        )
        .bind(id)
        .bind(guid)
        .bind(name)
        .bind(name.to_lowercase())
        .bind(description)
        .bind(self.now)
        .execute(&mut self.inner)
        .await?;
        Ok(())
    }
}
