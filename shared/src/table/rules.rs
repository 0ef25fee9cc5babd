//! Operators' rules, and the texts that no rule knows.

use super::{Table, TableError, attribute, failed, is_condition, keys, write_item};
use crate::account::{AccountId, RuleId};
use crate::incident::Template;
use crate::qualify::Rule;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

/// Seconds that a text is kept after it was last seen.
const KEPT_SECONDS: i64 = 90 * 86_400;

#[derive(Serialize, Deserialize)]
struct RuleItem {
    rule: Rule,
}

/// A text that no rule knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownText {
    /// What its outcomes have in common.
    pub template: Template,
    /// How many outcomes had it.
    pub seen: u64,
    /// When it was seen first, in seconds since 1970.
    pub first: i64,
    /// When it was seen last, in seconds since 1970.
    pub last: i64,
    /// The first of them, as it was said.
    pub example: String,
    /// The mailbox of the first.
    pub mailbox: AccountId,
    /// The report of the first.
    pub report: String,
}

impl Table {
    /// Writes a rule: a new one (`false` when the name is taken), or one that there is (`false` when there is none).
    pub async fn put_rule(&self, rule: &Rule, new: bool) -> Result<bool, TableError> {
        let item = write_item(keys::rule(&rule.id), &RuleItem { rule: rule.clone() })?;
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item));
        let condition = if new { "attribute_not_exists(pk)" } else { "attribute_exists(pk)" };
        match put.condition_expression(condition).send().await {
            Ok(_) => Ok(true),
            Err(error) if is_condition(&error) => Ok(false),
            Err(error) => Err(failed("written", error)),
        }
    }

    /// All rules, by name.
    pub async fn rules(&self) -> Result<Vec<Rule>, TableError> {
        let items: Vec<RuleItem> = self.query_partition(keys::RULES.into(), "RULE#").await?;
        Ok(items.into_iter().map(|item| item.rule).collect())
    }

    /// Removes a rule; `false` when there is none.
    pub async fn remove_rule(&self, id: &RuleId) -> Result<bool, TableError> {
        self.delete(keys::rule(id)).await
    }

    /// Counts a text that no rule knows, `text.seen` times more.
    pub async fn count_text(&self, text: &UnknownText) -> Result<(), TableError> {
        let number = |number: i64| AttributeValue::N(number.to_string());
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(keys::text(&text.template.id).into_item()))
            .update_expression(
                "SET template = :template, #last = :last, #first = if_not_exists(#first, :last), \
                 example = if_not_exists(example, :example), mailbox = if_not_exists(mailbox, :mailbox), \
                 report = if_not_exists(report, :report), expires = :expires ADD seen :seen",
            )
            .expression_attribute_names("#first", "first")
            .expression_attribute_names("#last", "last")
            .expression_attribute_values(":template", attribute(&text.template)?)
            .expression_attribute_values(":last", number(text.last))
            .expression_attribute_values(":example", AttributeValue::S(text.example.clone()))
            .expression_attribute_values(":mailbox", AttributeValue::S(text.mailbox.to_string()))
            .expression_attribute_values(":report", AttributeValue::S(text.report.clone()))
            .expression_attribute_values(":expires", number(text.last + KEPT_SECONDS))
            .expression_attribute_values(":seen", AttributeValue::N(text.seen.to_string()));
        update.send().await.map(|_| ()).map_err(|error| failed("written", error))
    }

    /// The texts that no rule knows, the most frequent first.
    pub async fn unknown_texts(&self) -> Result<Vec<UnknownText>, TableError> {
        let mut texts: Vec<UnknownText> = self.query_partition(keys::TEXTS.into(), "TEXT#").await?;
        texts.sort_by(|a, b| (b.seen, &a.template.id).cmp(&(a.seen, &b.template.id)));
        Ok(texts)
    }
}
