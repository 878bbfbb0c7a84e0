//! A question that somebody else signed, headers and all: it is sent as it was signed, and answered with JSON.
//!
//! It must never be sent anywhere but to the configured origin, and never follow what that answers.

use reqwest::header;

use super::{Document, FetchFailed, Origin, SizeLimit};

impl Origin {
    /// Fetches `url` with these headers besides our own, within the limits of [`Self::get`].
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn ask(&self, url: &str, headers: &[(&'static str, &str)]) -> Result<Document, FetchFailed> {
        let url = self.parse(url)?;
        let asked = async {
            self.pinned.pin(self.checked_addresses().await?);
            let mut request = self
                .client
                .get(url)
                .header(header::ACCEPT, "application/json")
                .header(header::ACCEPT_ENCODING, "identity");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let response = request.send().await.map_err(|source| self.transport(source))?;
            self.refuse_status(&response)?;
            if response.headers().contains_key(header::CONTENT_ENCODING) {
                let origin = self.name.clone();
                return Err(FetchFailed::Encoded { origin });
            }
            let bytes = self.body(response, SizeLimit::Document.bytes()).await?;
            Ok(Document { bytes, max_age: None })
        };
        match tokio::time::timeout(self.patience.total, asked).await {
            Ok(answered) => answered,
            Err(_elapsed) => Err(self.timed_out()),
        }
    }
}
