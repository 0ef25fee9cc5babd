//! The table's shape for one machine and for tests; `template.yaml` says the same for AWS.

use super::{Table, TableError, failed, keys};
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, StreamSpecification, StreamViewType, TimeToLiveSpecification,
};

impl Table {
    /// Creates the table where there is none. `stream` costs one machine dear and nobody reads it there yet.
    pub async fn create_if_missing(&self, stream: bool) -> Result<(), TableError> {
        let hash = |name| key(name, KeyType::Hash);
        let range = |name| key(name, KeyType::Range);
        let made = self
            .client
            .create_table()
            .table_name(&self.name)
            .billing_mode(BillingMode::PayPerRequest)
            .set_attribute_definitions(Some(vec![
                attribute(keys::PK, ScalarAttributeType::S),
                attribute(keys::SK, ScalarAttributeType::S),
                attribute(keys::DUE_SHARD, ScalarAttributeType::S),
                attribute(keys::NEXT_DUE, ScalarAttributeType::N),
                attribute(keys::ACCOUNT, ScalarAttributeType::S),
                attribute(keys::ARRIVED, ScalarAttributeType::N),
            ]))
            .set_key_schema(Some(vec![hash(keys::PK), range(keys::SK)]))
            .global_secondary_indexes(index(
                keys::DUE_INDEX,
                vec![hash(keys::DUE_SHARD), range(keys::NEXT_DUE)],
                ProjectionType::All,
            ))
            .global_secondary_indexes(index(
                keys::ARRIVALS_INDEX,
                vec![hash(keys::ACCOUNT), range(keys::ARRIVED)],
                ProjectionType::KeysOnly,
            ))
            .set_stream_specification(stream.then(stream_specification).flatten())
            .send()
            .await;
        match made {
            Ok(_) => {}
            Err(error) if error.as_service_error().and_then(|e| e.code()) == Some("ResourceInUseException") => {
                return Ok(());
            }
            Err(error) => return Err(failed("created", error)),
        }
        let ttl = TimeToLiveSpecification::builder().enabled(true).attribute_name(keys::EXPIRES).build();
        let set = self.client.update_time_to_live().table_name(&self.name).set_time_to_live_specification(ttl.ok());
        set.send().await.map(|_| ()).map_err(|error| failed("created", error))
    }
}

fn stream_specification() -> Option<StreamSpecification> {
    StreamSpecification::builder().stream_enabled(true).stream_view_type(StreamViewType::NewAndOldImages).build().ok()
}

#[allow(clippy::expect_used, reason = "every field the builder asks for stands in the line")]
fn attribute(name: &str, kind: ScalarAttributeType) -> AttributeDefinition {
    AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().expect("name and type are set")
}

#[allow(clippy::expect_used, reason = "every field the builder asks for stands in the line")]
fn key(name: &str, kind: KeyType) -> KeySchemaElement {
    KeySchemaElement::builder().attribute_name(name).key_type(kind).build().expect("name and type are set")
}

#[allow(clippy::expect_used, reason = "every field the builder asks for stands in the lines")]
fn index(name: &str, schema: Vec<KeySchemaElement>, projection: ProjectionType) -> GlobalSecondaryIndex {
    GlobalSecondaryIndex::builder()
        .index_name(name)
        .set_key_schema(Some(schema))
        .projection(Projection::builder().projection_type(projection).build())
        .build()
        .expect("name and schema are set")
}
