//! What the next requests meet instead of being answered well.

use std::sync::Arc;

/// A scripted fault.
#[derive(Clone)]
pub struct GraphFault {
    /// Which requests.
    pub call: GraphCall,
    /// How many of them are answered well first.
    pub after: usize,
    /// How many meet the fault.
    pub times: usize,
    /// What happens.
    pub action: GraphAction,
}

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphCall {
    /// Every one.
    Any,
    /// A folder, or a list of folders.
    Folder,
    /// A page of a delta query.
    Delta,
    /// A message as MIME.
    Value,
    /// Mark, move or delete.
    Settle,
}

/// What a request meets.
#[derive(Clone)]
pub enum GraphAction {
    /// An error in Graph's form.
    Refuse {
        /// HTTP status.
        status: u16,
        /// Graph's word.
        code: &'static str,
        /// Seconds in `Retry-After`.
        retry_after: Option<u32>,
    },
    /// 200 with this body.
    Body(String),
    /// The page's link is this one.
    Link(String),
    /// The page's `nextLink` is the page itself.
    SamePage,
    /// A body that never ends, as fast as it is read.
    Endless,
    /// The start of a body, then silence.
    Stall,
    /// This happens first, then the answer is as it should be.
    Meanwhile(Arc<dyn Fn() + Send + Sync>),
    /// It is carried out, and the connection ends in place of an answer.
    Unanswered,
}

/// The fault that a request meets, counted down.
pub(super) fn next(script: &mut Vec<GraphFault>, call: GraphCall) -> Option<GraphAction> {
    let fault = script.iter_mut().find(|fault| fault.call == GraphCall::Any || fault.call == call)?;
    if fault.after > 0 {
        fault.after -= 1;
        return None;
    }
    fault.times = fault.times.saturating_sub(1);
    let action = fault.action.clone();
    script.retain(|fault| fault.times > 0);
    Some(action)
}
