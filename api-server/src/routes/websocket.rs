//! `GET /containers/X/attach/ws`: a container's streams over a websocket, both outputs mixed and without frames.

use super::containers::{has_readable_log, log_options};
use super::hijack::Unframe;
use super::{Call, Route, get};
use crate::engine::attach::Attachment;
use crate::engine::error::{Error, Result};
use crate::engine::logs;
use crate::version::{self, Version};
use axum::body::{Body, Bytes};
use axum::extract::FromRequest;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

/// Largest message that is taken from a client, bytes.
const MAX_MESSAGE: usize = 1 << 20;

pub(super) fn routes() -> Vec<Route> {
    vec![get("/containers/{name}/attach/ws", attach)]
}

async fn attach(call: Call) -> Result<Response<Body>> {
    let c = call.container()?;
    let config = c.record.read().config_view();
    let all = !call.version.has(version::WEBSOCKET_STREAMS);
    let wants = |key: &str| all || call.query.flag(key);
    let (stdin, stdout, stderr) = (wants("stdin") && config.open_stdin, wants("stdout"), wants("stderr"));
    let replay = if call.query.flag("logs") {
        has_readable_log(&c)?;
        Some(logs::Options { follow: false, tail: None, stdout, stderr, ..log_options(&call, false)? })
    } else {
        None
    };
    let (engine, version, stream) = (call.engine.clone(), call.version, call.query.flag("stream"));
    let upgrade = WebSocketUpgrade::from_request(call.request, &())
        .await
        .map_err(|e| Error::invalid(format!("not a websocket request: {}", e.body_text())))?;
    let attachment = if stream { Some(engine.attach(&c, stdin, stdout, stderr).await?) } else { None };
    engine.container_event(&c, "attach", &[]);
    Ok(upgrade.max_message_size(MAX_MESSAGE).on_upgrade(move |mut socket| async move {
        if let Some(options) = replay {
            let (out, mut pieces) = mpsc::channel(16);
            let (c, published) = (c.clone(), c.published.subscribe());
            tokio::spawn(async move { logs::send(&c, options, published, out).await });
            while let Some(piece) = pieces.recv().await {
                if send(&mut socket, &piece, version).await.is_err() {
                    return;
                }
            }
        }
        if let Some(attachment) = attachment {
            relay(&mut socket, attachment, config.tty, stdin, version).await;
        }
        // A client that is gone needs no goodbye.
        let _ = socket.send(Message::Close(None)).await;
    }))
}

async fn send(socket: &mut WebSocket, bytes: &[u8], version: Version) -> Result<(), axum::Error> {
    let message = if version.has(version::WEBSOCKET_BINARY) {
        Message::Binary(Bytes::copy_from_slice(bytes))
    } else {
        Message::Text(String::from_utf8_lossy(bytes).into_owned().into())
    };
    socket.send(message).await
}

/// Copies both ways until the output ends or the client goes.
async fn relay(
    socket: &mut WebSocket,
    mut attachment: Attachment,
    is_terminal: bool,
    mut stdin: bool,
    version: Version,
) {
    let Some(conversation) = attachment.conversation.take() else { return };
    let (mut output, mut input) = tokio::io::split(conversation);
    let mut unframe = Unframe::default();
    let mut buffer = vec![0u8; 64 << 10];
    loop {
        tokio::select! {
            read = output.read(&mut buffer) => {
                let Ok(n @ 1..) = read else { return };
                let sent = if is_terminal {
                    send(socket, &buffer[..n], version).await
                } else {
                    match unframe.pass(&buffer[..n]) {
                        bytes if bytes.is_empty() => Ok(()),
                        bytes => send(socket, &bytes, version).await,
                    }
                };
                if sent.is_err() {
                    return;
                }
            }
            message = socket.recv() => {
                let bytes = match message {
                    Some(Ok(Message::Binary(bytes))) => bytes,
                    Some(Ok(Message::Text(text))) => text.into(),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                };
                if stdin && input.write_all(&bytes).await.is_err() {
                    // The process closed its input; what is typed from now on goes nowhere.
                    stdin = false;
                }
            }
        }
    }
}
