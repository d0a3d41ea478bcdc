//! Reads what valgrind's dhat has counted of `memcpy` and its like: how many bytes, and where.

use serde_json::Value;

/// A place that copies, with those that called it.
pub struct Site {
    pub bytes: u64,
    pub times: u64,
    /// The functions, the innermost first.
    pub stack: Vec<String>,
}

/// All places; `None` if it is no file of dhat's.
pub fn parse(text: &str) -> Option<Vec<Site>> {
    let whole: Value = serde_json::from_str(text).ok()?;
    let frames = whole["ftbl"].as_array()?;
    let function = |index: &Value| -> Option<String> {
        let frame = frames.get(usize::try_from(index.as_u64()?).ok()?)?.as_str()?;
        // `0x4848ADBD: append (download.rs:111)`
        Some(frame.split_once(": ").map_or(frame, |(_, name)| name).to_owned())
    };
    let sites = whole["pps"].as_array()?.iter().map(|site| {
        Some(Site {
            bytes: site["tb"].as_u64()?,
            times: site["tbk"].as_u64().unwrap_or(0),
            stack: site["fs"].as_array()?.iter().filter_map(function).collect(),
        })
    });
    sites.collect()
}
