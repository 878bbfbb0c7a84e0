//! The one question that is asked of an origin with a body: a review by a cluster's API server.
//!
//! It must never send a credential anywhere but to the configured origin, and never follow what that answers (T-17).

use reqwest::{Response, StatusCode, header};

use super::{Document, FetchFailed, Origin, SizeLimit};
use crate::secret::Secret;

impl Origin {
    /// Posts JSON to `url` with a bearer token, within the limits of [`Self::get`].
    ///
    /// # Errors
    /// As [`Self::get`]; a plain 201 is as good as 200.
    pub async fn post(&self, url: &str, bearer: &Secret, json: String) -> Result<Document, FetchFailed> {
        let url = self.parse(url)?;
        let asked = async {
            self.pinned.pin(self.checked_addresses().await?);
            let request = self
                .client
                .post(url)
                .bearer_auth(bearer.expose()) // reqwest marks it as sensitive
                .header(header::CONTENT_TYPE, "application/json")
                .header(header::ACCEPT, "application/json")
                .header(header::ACCEPT_ENCODING, "identity")
                .body(json);
            let response = request.send().await.map_err(|source| self.transport(source))?;
            self.refuse_answer(&response)?;
            let bytes = self.body(response, SizeLimit::Document.bytes()).await?;
            Ok(Document { bytes, max_age: None })
        };
        match tokio::time::timeout(self.patience.total, asked).await {
            Ok(answered) => answered,
            Err(_elapsed) => Err(self.timed_out()),
        }
    }

    fn refuse_answer(&self, response: &Response) -> Result<(), FetchFailed> {
        let origin = self.name.clone();
        let status = response.status();
        if status.is_redirection() {
            let status = status.as_u16();
            return Err(FetchFailed::Redirected { origin, status });
        }
        if status != StatusCode::OK && status != StatusCode::CREATED {
            let status = status.as_u16();
            return Err(FetchFailed::Posted { origin, status });
        }
        if response.headers().contains_key(header::CONTENT_ENCODING) {
            return Err(FetchFailed::Encoded { origin });
        }
        Ok(())
    }
}
