//! A file that somebody else keeps fresh, as Kubernetes does with a projected service account token. The audience is
//! whoever wrote it said.

use super::{Identity, IdentityError};
use crate::limits;
use crate::secret::Secret;
use std::path::PathBuf;

/// A file with a token.
#[derive(Clone, Debug)]
pub struct TokenFile(PathBuf);

impl TokenFile {
    /// By its path; it is read anew for each token.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

#[async_trait::async_trait]
impl Identity for TokenFile {
    async fn token(&self, _audience: &str) -> Result<Secret, IdentityError> {
        let wrong = |what: String| IdentityError::File { file: self.0.display().to_string(), what };
        let size = std::fs::metadata(&self.0).map_err(|error| wrong(error.to_string()))?.len();
        if size > limits::TOKEN_FILE_BYTES {
            return Err(wrong(format!("it has {size} bytes, a token has at most {}", limits::TOKEN_FILE_BYTES)));
        }
        let text = std::fs::read_to_string(&self.0).map_err(|error| wrong(error.to_string()))?;
        let token = text.trim();
        let is_jwt = token.split('.').count() == 3 && !token.contains(char::is_whitespace);
        if !is_jwt {
            return Err(wrong("it holds no token (three parts between dots)".to_owned()));
        }
        Ok(token.to_owned().into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::secret::ExposeSecret;

    #[tokio::test]
    async fn a_file_holds_a_token_or_says_what_is_wrong() {
        let path = std::env::temp_dir().join(format!("rebond-token-{}", std::process::id()));
        let file = TokenFile::new(&path);
        assert!(file.token("x").await.unwrap_err().to_string().contains("rebond-token"));
        for (text, good) in [("a.b.c\n", true), ("a.b", false), ("", false), ("a.b.c d", false)] {
            std::fs::write(&path, text).unwrap();
            let token = file.token("x").await;
            assert_eq!(token.is_ok(), good, "{text:?}");
            assert!(token.is_err() || token.unwrap().expose_secret() == "a.b.c");
        }
        std::fs::write(&path, "x".repeat(70_000)).unwrap();
        assert!(file.token("x").await.unwrap_err().to_string().contains("70000 bytes"));
        std::fs::remove_file(path).unwrap();
    }
}
