//! One question to the platform that a workload runs on.
//!
//! Never follows a redirect, asks a proxy about a neighbour, or reads an unbounded answer; what is answered instead of a token
//! is not repeated.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use reqwest::{Client, ClientBuilder, RequestBuilder, redirect};
use serde_json::Value;
use url::{Host, Url};
use zeroize::Zeroizing;

use super::{MAX_TOKEN_BYTES, checked};
use crate::{cli::client::read, secret::Secret};

/// Returns the client for a CI system's service, which is reached by HTTPS alone.
pub(super) fn client() -> anyhow::Result<Client> {
    made(builder().https_only(true).timeout(TOTAL))
}

/// Returns the client for a metadata service, which is the machine's own neighbour and speaks plain HTTP.
pub(super) fn neighbour() -> anyhow::Result<Client> {
    made(builder().no_proxy().connect_timeout(NEIGHBOUR).timeout(TOTAL))
}

fn builder() -> ClientBuilder {
    Client::builder().redirect(redirect::Policy::none()).referer(false)
}

fn made(builder: ClientBuilder) -> anyhow::Result<Client> {
    builder.build().context("the HTTP client cannot be made")
}

/// Reads the address that `variable` holds; the token of the platform goes there by HTTPS alone.
pub(super) fn address(variable: &str, text: &str) -> anyhow::Result<Url> {
    let url = Url::parse(text).with_context(|| format!("{variable} is no URL"))?;
    match url.scheme() {
        "https" => Ok(url),
        found => bail!("{variable} has the scheme `{found}`, expected `https`"),
    }
}

/// Reads the address of a neighbour that `variable` holds: by HTTPS it may be anybody, by plain HTTP only who is as near as
/// the endpoints that platforms name (App Service, Functions and Container Apps: loopback or link-local).
pub(super) fn address_nearby(variable: &str, text: &str) -> anyhow::Result<Url> {
    let url = Url::parse(text).with_context(|| format!("{variable} is no URL"))?;
    refuse_foreign(variable, &url, is_near)?;
    Ok(url)
}

/// Refuses plain HTTP to whoever is not `near`: what is sent there would be anybody's on the way.
pub(super) fn refuse_foreign(whose: &str, url: &Url, near: impl FnOnce(&Host<&str>) -> bool) -> anyhow::Result<()> {
    match (url.scheme(), url.host()) {
        ("https", _) => Ok(()),
        ("http", Some(host)) if near(&host) => Ok(()),
        ("http", host) => bail!(
            "{whose} is plain `http` to the foreign host `{}`, expected `https`, or this machine or its link",
            host.map_or_else(String::new, |host| host.to_string())
        ),
        (found, _) => bail!("{whose} has the scheme `{found}`, expected `https`"),
    }
}

/// This machine and its own link, which no packet leaves. By name this machine is `localhost` alone: any other name is
/// whatever a name server says.
fn is_near(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback() || address.is_link_local(),
        Host::Ipv6(address) => address.is_loopback() || address.is_unicast_link_local(),
    }
}

/// Asks, and returns the token that `member` of the JSON answer holds; the whole answer where there is no member.
pub(super) async fn token(request: RequestBuilder, member: Option<&str>) -> anyhow::Result<Secret> {
    let (status, body) = exchanged(request).await?;
    accepted(status)?;
    token_in(&body, member)
}

/// Does the same at a metadata service.
pub(super) async fn token_nearby(request: RequestBuilder, member: Option<&str>) -> anyhow::Result<Secret> {
    token_in(&answered_nearby(request).await?, member)
}

/// Returns the token that `member` of a JSON answer holds; the whole answer where there is no member.
pub(super) fn token_in(body: &[u8], member: Option<&str>) -> anyhow::Result<Secret> {
    let Some(member) = member else {
        return checked(std::str::from_utf8(body).context("found no text, expected a token")?);
    };
    let value: Option<Value> = serde_json::from_slice(body).ok();
    let token = value.as_ref().and_then(|body| body.get(member)).and_then(Value::as_str);
    checked(token.ok_or_else(|| anyhow!("found no `{member}`, expected the token in it"))?)
}

/// Asks a metadata service, and returns the text of its answer where it is one.
pub(super) async fn text_nearby(request: RequestBuilder) -> anyhow::Result<Zeroizing<String>> {
    text(&answered_nearby(request).await?)
}

fn text(body: &[u8]) -> anyhow::Result<Zeroizing<String>> {
    let text = std::str::from_utf8(body).context("found no text")?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

/// Asks the endpoint of a container, whose path is what opens it; a failure names the host alone.
pub(super) async fn text_of_container(request: RequestBuilder) -> anyhow::Result<Zeroizing<String>> {
    text(&answered_at(request, |address| address.set_path("")).await?)
}

/// Asks a metadata service, and returns its answer where it is one; a failure names the address.
pub(super) async fn answered_nearby(request: RequestBuilder) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    answered_at(request, |_whole| ()).await
}

async fn answered_at(request: RequestBuilder, hide: impl FnOnce(&mut Url)) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let (mut address, request) = addressed(request)?;
    hide(&mut address);
    let answered = exchanged(request).await;
    let accepted = answered.and_then(|(status, body)| accepted(status).map(|()| body));
    accepted.with_context(|| format!("asked `{address}`"))
}

/// Asks a metadata service, and returns its address, and status and body of whatever it answers; a failure names the address.
pub(super) async fn exchanged_nearby(request: RequestBuilder) -> anyhow::Result<(Url, u16, Zeroizing<Vec<u8>>)> {
    let (address, request) = addressed(request)?;
    let exchanged = exchanged(request).await;
    let (status, body) = exchanged.with_context(|| format!("asked `{address}`"))?;
    Ok((address, status, body))
}

/// Returns the address of a request without its user and its query.
fn addressed(request: RequestBuilder) -> anyhow::Result<(Url, RequestBuilder)> {
    let (client, request) = request.build_split();
    let request = request.map_err(reqwest::Error::without_url)?;
    let mut address = request.url().clone();
    address.set_query(None);
    let _of_its_kind = address.set_username("").and_then(|()| address.set_password(None));
    Ok((address, RequestBuilder::from_parts(client, request)))
}

/// Refuses what is no good answer.
pub(super) fn accepted(status: u16) -> anyhow::Result<()> {
    match status {
        200 | 201 => Ok(()),
        found => bail!("found status {found}, expected 200"),
    }
}

async fn exchanged(request: RequestBuilder) -> anyhow::Result<(u16, Zeroizing<Vec<u8>>)> {
    let response = request.send().await.map_err(reqwest::Error::without_url)?;
    let status = response.status().as_u16();
    let body = read(response, MAX_ANSWER_BYTES).await;
    let body = body.map_err(reqwest::Error::without_url)?;
    let Some(body) = body else {
        // What a refusal says is not read anyway.
        accepted(status)?;
        bail!("found more than {MAX_ANSWER_BYTES} bytes, expected a token");
    };
    Ok((status, body))
}

/// A token and its member names.
const MAX_ANSWER_BYTES: usize = 2 * MAX_TOKEN_BYTES;
/// As long as the gateway waits for an issuer's document.
const TOTAL: Duration = Duration::from_secs(5);
/// A metadata service is on the machine's own link.
const NEIGHBOUR: Duration = Duration::from_secs(1);
