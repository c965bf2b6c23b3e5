//! A model on a device, and on another one in its place if that is asked for.

use std::sync::Arc;

use fqbert_model::QuantizedModel;
use fqbert_session::{Failover, Session, SessionError, SessionOptions};

use crate::error::TaskError;
use crate::uri::{OpenError, open_device};

/// Binds a model to the device of a URI. With a fallback, that device is opened too and answers
/// where the first cannot be opened or fails; its session is made when it is first needed. The
/// answers are the same bits, on any geometry.
///
/// A text longer than the longest sequence is cut, so on a fallback that stands in from the
/// beginning and takes shorter sequences than the first device it is cut earlier. A fallback that
/// is first needed later refuses such a request.
///
/// # Errors
/// A device's URI is wrong, the fallback cannot be opened, or the first device cannot and there is
/// no fallback; or the model does not fit.
pub fn open_session(
    model: Arc<QuantizedModel>,
    uri: &str,
    fallback: Option<&str>,
    options: &SessionOptions,
) -> Result<Failover, TaskError> {
    let fallback = fallback.map(open_device).transpose()?;
    let first = open_device(uri)
        .map_err(TaskError::from)
        .and_then(|device| Ok(Session::new(model.clone(), device, options.clone())?));
    let options = options.clone();
    match (first, fallback) {
        (Ok(session), None) => Ok(session.into()),
        (Ok(session), Some(device)) => Ok(Failover::with_fallback(session, move || {
            Session::new(model, device, options)
        })),
        (Err(error), Some(device)) if is_device_fault(&error) => {
            let session = Session::new(model, device, options)?;
            Ok(Failover::instead(session, &error))
        }
        (Err(error), _) => Err(error),
    }
}

/// Whether the device is at fault, and not what was asked of it.
fn is_device_fault(error: &TaskError) -> bool {
    match error {
        TaskError::Open(error) => !matches!(
            error,
            OpenError::UnknownScheme { .. } | OpenError::Uri { .. }
        ),
        TaskError::Session(error) => SessionError::is_device_fault(error),
        _ => false,
    }
}
