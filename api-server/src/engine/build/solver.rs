//! Walks through a Dockerfile: which step comes next, whether it was executed already, and what it makes.

use super::cache::{Cache, Wanted};
use super::config::{ports, quoted};
use super::context::Builder;
use super::executor::{Command, Executor, blocking};
use super::overlay::Overlay;
use super::pins::Pin;
use super::prepare::Definition;
use super::state::{State, image_tree, join_dir};
use super::transfer::{self, Item, Mode, Plan};
use super::tree::Tree;
use super::{Event, Events, Failure, Options, fetch};
use crate::engine::clock;
use crate::engine::error::{Error, Kind, Result};
use crate::engine::images::refused;
use crate::engine::registry::PullRequest;
use crate::engine::{Engine, names, signals};
use carrack_images::Derivation;
use carrack_images::build::ignore::Ignore;
use carrack_images::build::{
    BuildArgs, CommandLine, Dockerfile, Heredoc, Instruction, Lexer, Pair, Platform, Run, Stage, Step,
    Transfer, parse_trigger,
};
use carrack_images::reference::Reference;
use carrack_images::registry::{Caller, Progress, for_registry};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

/// A stage that is complete.
#[derive(Debug)]
struct Done {
    name: Option<String>,
    image: Option<Arc<Pin>>,
}

/// One build.
#[derive(Debug)]
pub(super) struct Solver {
    engine: Arc<Engine>,
    executor: Executor,
    options: Options,
    context: Arc<dyn Tree>,
    scratch: PathBuf,
    cache: Option<Arc<Cache>>,
    args: BuildArgs,
    lexer: Lexer,
    done: Vec<Done>,
    /// Files of images that were copied from; they keep the digests that were computed.
    trees: HashMap<String, Arc<dyn Tree>>,
    number: usize,
    total: usize,
}

type Variables = BTreeMap<String, String>;

impl Solver {
    pub(super) async fn new(
        engine: Arc<Engine>,
        options: Options,
        definition: &Definition,
        events: Events,
    ) -> Result<Solver, Failure> {
        let host = platform(&crate::engine::images::host_platform());
        let target = if options.platform.is_empty() { host.clone() } else { platform(&options.platform) };
        let args = BuildArgs::new(options.build_args.clone(), &host, &target);
        let cache = match options.no_cache {
            true => None,
            false => {
                let (engine, names) = (engine.clone(), options.cache_from.clone());
                Some(Arc::new(blocking(move || known_steps(&engine, names)).await?))
            }
        };
        let file = &definition.file;
        let total = file.meta_args.len() + file.stages.iter().map(|s| s.steps.len() + 1).sum::<usize>();
        Ok(Solver {
            executor: Executor { engine: engine.clone(), events },
            engine,
            options,
            context: definition.context.clone(),
            scratch: definition.scratch.clone(),
            cache,
            args,
            lexer: Lexer::new(file.escape),
            done: Vec::new(),
            trees: HashMap::new(),
            number: 0,
            total,
        })
    }

    /// Executes all stages; the last one's image.
    pub(super) async fn solve(mut self, file: Dockerfile) -> Result<Arc<Pin>, Failure> {
        for warning in &file.warnings {
            self.tell(Event::Note(format!("[WARNING]: {warning}\n"))).await?;
        }
        for step in &file.meta_args {
            self.announce(&step.code).await?;
            self.meta_args(step)?;
        }
        for (i, stage) in file.stages.into_iter().enumerate() {
            if stage.name.is_some() && self.done.iter().any(|d| d.name == stage.name) {
                let name = stage.name.unwrap_or_default();
                return Err(Error::invalid(format!("{name} stage name already used")).into());
            }
            tracing::debug!(stage = i, "stage");
            let name = stage.name.clone();
            let image = self.stage(stage).await?;
            self.done.push(Done { name, image });
        }
        let unused = self.args.unused();
        if !unused.is_empty() {
            let list = unused.join(" ");
            let text = format!("[Warning] One or more build-args [{list}] were not consumed\n");
            self.tell(Event::Note(text)).await?;
        }
        let last = self.done.pop().and_then(|d| d.image);
        last.ok_or_else(|| Error::invalid("No image was generated. Is your Dockerfile empty?").into())
    }

    async fn tell(&self, event: Event) -> Result<(), Failure> {
        self.executor.tell(event).await
    }

    async fn announce(&mut self, text: &str) -> Result<(), Failure> {
        self.number += 1;
        let step = Event::Step { number: self.number, total: self.total, text: text.to_owned() };
        self.executor.tell(step).await
    }

    async fn tell_image(&self, state: &State) -> Result<(), Failure> {
        self.tell(Event::Image(state.image.as_ref().map(|pin| pin.id().to_owned()))).await
    }

    fn meta_args(&mut self, step: &Step) -> Result<()> {
        let Instruction::Arg(list) = &step.instruction else { return Ok(()) };
        for (name, default) in list {
            let expand = |text: &str| self.lexer.word(text, &|n| self.args.meta(n)).map_err(Error::invalid);
            let (name, default) = (expand(name)?, default.as_deref().map(expand).transpose()?);
            self.args.declare_meta(&name, default);
        }
        Ok(())
    }

    async fn stage(&mut self, stage: Stage) -> Result<Option<Arc<Pin>>, Failure> {
        self.announce(&stage.code).await?;
        self.args.begin_stage();
        let base = self.base(&stage).await?;
        let (mut state, triggers) = State::begin(&self.engine, base);
        if !triggers.is_empty() {
            self.tell(Event::Triggers(triggers.len())).await?;
            for trigger in triggers {
                let step = parse_trigger(&trigger).map_err(Error::invalid)?;
                self.dispatch(&mut state, &step).await?;
            }
        }
        self.tell_image(&state).await?;
        for step in &stage.steps {
            self.announce(&step.code).await?;
            self.dispatch(&mut state, step).await?;
            self.tell_image(&state).await?;
        }
        if let Some(pin) = &state.image {
            self.tell(Event::Stage { image: pin.id().to_owned() }).await?;
        }
        Ok(state.image)
    }

    /// What FROM names; `None`: `scratch`.
    async fn base(&self, stage: &Stage) -> Result<Option<Arc<Pin>>, Failure> {
        let expand = |text: &str| self.lexer.word(text, &|n| self.args.meta(n)).map_err(Error::invalid);
        let name = expand(&stage.base)?;
        if name.is_empty() {
            return Err(Error::invalid(format!("base name ({}) should not be blank", stage.base)).into());
        }
        let wanted = stage.platform.as_deref().map(expand).transpose()?;
        let wanted = wanted.unwrap_or_else(|| self.options.platform.clone());
        let lower = name.to_lowercase();
        if let Some(done) = self.done.iter().find(|d| d.name.as_deref() == Some(&lower)) {
            return Ok(done.image.clone());
        }
        if name == "scratch" {
            return Ok(None);
        }
        self.image(&name, &wanted).await.map(Some)
    }

    /// An image by name, pulled if it is not here, or if a newer one is wanted.
    async fn image(&self, name: &str, platform: &str) -> Result<Arc<Pin>, Failure> {
        let here = || {
            let (engine, reference, wanted) = (self.engine.clone(), name.to_owned(), platform.to_owned());
            blocking(move || engine.images.on_platform(&reference, &wanted))
        };
        let found = match here().await {
            Ok(found) if !self.options.pull => found,
            Err(e) if e.kind != Kind::NotFound => return Err(e.into()),
            _ => {
                self.pull(name, platform).await?;
                here().await?
            }
        };
        let gone = || Error::not_found(format!("No such image: {name}")).into();
        Pin::new(&self.engine, &found.id).ok_or_else(gone)
    }

    async fn pull(&self, name: &str, platform: &str) -> Result<(), Failure> {
        let reference = Reference::parse(name).map_err(|e| Error::invalid(e.to_string()))?;
        let credentials = for_registry(&self.options.credentials, reference.domain()).cloned();
        let caller = Caller { credentials: credentials.unwrap_or_default(), ..Caller::default() };
        let request = PullRequest::new(&reference.with_default_tag().to_string(), "", platform, caller)?;
        let (sender, mut messages) = tokio::sync::mpsc::unbounded_channel();
        let pulling = async {
            let progress: Progress = Arc::new(move |message| drop(sender.send(message)));
            self.engine.pull(&request, &progress).await
        };
        let telling = async {
            while let Some(message) = messages.recv().await {
                self.tell(Event::Pulling(message)).await?;
            }
            Ok::<(), Failure>(())
        };
        let (pulled, told) = tokio::join!(pulling, telling);
        pulled?;
        told
    }

    async fn dispatch(&mut self, state: &mut State, step: &Step) -> Result<(), Failure> {
        let variables = state.variables(self.args.visible(&state.config.env()));
        let lexer = self.lexer;
        let word = |text: &str| lexer.word(text, &|n| variables.get(n).cloned()).map_err(Error::invalid);
        let pair = |p: &Pair| -> Result<(String, String)> {
            match p.is_literal {
                true => Ok((p.name.clone(), p.value.clone())),
                false => Ok((word(&p.name)?, word(&p.value)?)),
            }
        };
        let comment = match &step.instruction {
            Instruction::Run(run) => return self.run(state, run).await,
            Instruction::Copy(transfer) => return self.transfer(state, transfer, "COPY", &variables).await,
            Instruction::Add(transfer) => return self.transfer(state, transfer, "ADD", &variables).await,
            Instruction::Workdir(path) => return self.work_dir(state, &word(path)?).await,
            Instruction::Arg(list) => {
                let mut comment = String::from(" ARG");
                for (name, default) in list {
                    let (name, default) = (word(name)?, default.as_deref().map(word).transpose()?);
                    comment.push_str(&format!(" {name}"));
                    comment.extend(default.iter().map(|value| format!("={value}")));
                    self.args.declare(&name, default);
                }
                comment
            }
            Instruction::Env(pairs) => {
                let mut comment = String::from(" ENV");
                for p in pairs {
                    let (name, value) = pair(p)?;
                    if name.is_empty() {
                        return Err(Error::invalid("ENV names can not be blank").into());
                    }
                    comment.push_str(&format!(" {name}={value}"));
                    state.config.set_env(&name, &value);
                }
                comment
            }
            Instruction::Label(pairs) => {
                let mut comment = String::from(" LABEL");
                for p in pairs {
                    let (name, value) = pair(p)?;
                    if name.is_empty() {
                        return Err(Error::invalid("LABEL names can not be blank").into());
                    }
                    comment.push_str(&format!(" {name}={value}"));
                    state.config.insert("Labels", &name, json!(value));
                }
                comment
            }
            Instruction::Cmd(line) => {
                let words = state.config.command(line);
                state.config.set("Cmd", json!(words));
                state.is_cmd_set |= !words.is_empty();
                format!(" CMD {}", quoted(&words))
            }
            Instruction::Entrypoint(line) => {
                let words = state.config.command(line);
                state.config.set("Entrypoint", json!(words));
                if !state.is_cmd_set {
                    state.config.remove("Cmd");
                }
                format!(" ENTRYPOINT {}", quoted(&words))
            }
            Instruction::Expose(list) => {
                let mut all = Vec::new();
                for text in list {
                    all.extend(lexer.words(text, &|n| variables.get(n).cloned()).map_err(Error::invalid)?);
                }
                all.sort();
                for text in &all {
                    for port in ports(text).map_err(Error::invalid)? {
                        state.config.insert("ExposedPorts", &port, json!({}));
                    }
                }
                format!(" EXPOSE {}", all.join(" "))
            }
            Instruction::Healthcheck(check) => {
                state.config.set_healthcheck(check);
                format!(" HEALTHCHECK {}", state.config.object()["Healthcheck"])
            }
            Instruction::Maintainer(name) => {
                state.author.clone_from(name);
                format!(" MAINTAINER {name}")
            }
            Instruction::Onbuild(text) => {
                state.config.push("OnBuild", text);
                format!(" ONBUILD {text}")
            }
            Instruction::Shell(words) => {
                state.config.set("Shell", json!(words));
                format!(" SHELL [{}]", words.join(" "))
            }
            Instruction::Stopsignal(text) => {
                let signal = word(text)?;
                signals::parse(&signal)?;
                state.config.set("StopSignal", json!(signal));
                format!(" STOPSIGNAL {signal}")
            }
            Instruction::User(text) => {
                let user = word(text)?;
                state.config.set("User", json!(user));
                format!(" USER {user}")
            }
            Instruction::Volume(list) => {
                let mut all = Vec::new();
                for text in list {
                    let path = word(text)?;
                    if path.trim().is_empty() {
                        return Err(Error::invalid("VOLUME specified can not be an empty string").into());
                    }
                    state.config.insert("Volumes", &path, json!({}));
                    all.push(path);
                }
                format!(" VOLUME [{}]", all.join(" "))
            }
        };
        let created_by = state.config.comment(&comment);
        self.configure(state, created_by).await
    }

    /// The step's image, if it was made already.
    async fn cached(&self, state: &mut State, created_by: &str) -> Result<bool, Failure> {
        let Some(cache) = self.cache.clone() else { return Ok(false) };
        let (engine, parent) = (self.engine.clone(), state.image.clone());
        let (created_by, config) = (created_by.to_owned(), state.config.compact());
        let author = state.author.clone();
        let found = blocking(move || {
            let parent = parent.as_ref().map(|pin| pin.image_id());
            let wanted = Wanted { parent, created_by: &created_by, config: &config };
            let store = engine.images.store();
            if let Some(image) = cache.find(store, &wanted) {
                return Ok(Pin::new(&engine, image.id.as_str()));
            }
            let Some((source, step)) = cache.restorable(store, &wanted) else { return Ok(None) };
            // Its layers are here; what is missing are the images in between.
            let how = Derivation {
                config: config.clone(),
                created_by: created_by.clone(),
                comment: source.history.get(step).map(|h| h.comment.clone()).unwrap_or_default(),
                created: source.history.get(step).and_then(|h| h.created),
                author,
                reference: None,
            };
            let made = store.derive_known(parent, layer_of(&source, step), &how).map_err(refused)?;
            Ok(Pin::new(&engine, made.as_str()))
        })
        .await?;
        let Some(pin) = found else { return Ok(false) };
        state.image = Some(pin);
        self.tell(Event::CacheHit).await?;
        Ok(true)
    }

    fn derivation(&self, state: &State, created_by: String) -> Derivation {
        Derivation {
            config: state.config.compact(),
            created_by,
            author: state.author.clone(),
            ..Derivation::default()
        }
    }

    /// A step that changes the configuration.
    async fn configure(&self, state: &mut State, created_by: String) -> Result<(), Failure> {
        if self.cached(state, &created_by).await? {
            return Ok(());
        }
        self.make(state, created_by, None).await
    }

    async fn work_dir(&self, state: &mut State, path: &str) -> Result<(), Failure> {
        let dir = join_dir(state.config.text("WorkingDir"), path);
        state.config.set("WorkingDir", json!(dir));
        let created_by = state.config.comment(&format!("WORKDIR {dir}"));
        if self.cached(state, &created_by).await? {
            return Ok(());
        }
        let (engine, image) = (self.engine.clone(), state.image.clone());
        let layer = blocking(move || {
            let base = image.map(|pin| image_tree(&engine, pin.id())).transpose()?;
            transfer::directory(base, &dir, clock::now().unix_timestamp())
        });
        let layer = layer.await.map_err(|e| e.context("WORKDIR failed"))?;
        self.make(state, created_by, Some(layer)).await
    }

    /// Makes a step's image. It needs no container, but clients are told of one, as they are used to.
    async fn make(
        &self,
        state: &mut State,
        created_by: String,
        layer: Option<Overlay>,
    ) -> Result<(), Failure> {
        let container = names::random_id();
        self.tell(Event::Running { container: container.clone() }).await?;
        let how = self.derivation(state, created_by);
        state.image = Some(self.executor.commit(state.image.as_ref(), layer, how).await?);
        if self.options.remove || self.options.force_remove {
            self.tell(Event::Removed { container }).await?;
        }
        Ok(())
    }

    async fn run(&self, state: &mut State, run: &Run) -> Result<(), Failure> {
        if !run.mounts.is_empty() {
            return Err(needs_buildkit("mount").into());
        }
        let (args, script) = run_words(state, run);
        let visible = self.args.visible(&state.config.env());
        let pairs = |all: bool| {
            let counts = visible.iter().filter(|(name, _)| all || self.args.counts(name));
            counts.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
        };
        let counted = pairs(false);
        let mut identity = args.join(" ");
        if !counted.is_empty() {
            identity = format!("|{} {} {identity}", counted.len(), counted.join(" "));
        }
        if let Some(script) = &script {
            identity = format!("{identity} {}", script.text);
        }
        if self.cached(state, &identity).await? {
            return Ok(());
        }
        let mut host = self.options.host.clone();
        if let Some(network) = &run.network {
            host.insert("NetworkMode".into(), json!(network));
        }
        let file = script.as_ref().map(|s| s.write(&self.scratch)).transpose()?;
        if let (Some(script), Some(file)) = (&script, &file) {
            let mount = json!({ "Type": "bind", "Source": file.to_path_buf(), "Target": script.path, "ReadOnly": true });
            host.insert("Mounts".into(), json!([mount]));
        }
        let command = Command {
            image: state.image.clone(),
            args: args.clone(),
            env: [state.config.env(), pairs(true)].concat(),
            user: state.config.text("User").to_owned(),
            work_dir: state.config.text("WorkingDir").to_owned(),
            volumes: state.config.object().get("Volumes").cloned().unwrap_or(Value::Null),
            host,
        };
        let (container, temporary, code) = self.executor.run(command).await?;
        let id = container.id.clone();
        if code != 0 {
            // It stays, for whoever wants to know why, unless it is to go in any case.
            if self.options.force_remove {
                temporary.remove().await?;
                self.tell(Event::Removed { container: id }).await?;
            } else {
                temporary.keep();
            }
            let message = format!("The command '{}' returned a non-zero code: {code}", args.join(" "));
            return Err(Failure { error: Error::internal(message), code: Some(code) });
        }
        let how = self.derivation(state, identity);
        state.image = Some(self.executor.commit_container(state.image.as_ref(), &container, how).await?);
        if self.options.remove || self.options.force_remove {
            temporary.remove().await?;
            self.tell(Event::Removed { container: id }).await?;
        } else {
            temporary.keep();
        }
        Ok(())
    }

    async fn transfer(
        &mut self,
        state: &mut State,
        transfer: &Transfer,
        keyword: &str,
        variables: &Variables,
    ) -> Result<(), Failure> {
        let failed = |e: Failure| Failure { error: e.error.context(format!("{keyword} failed")), ..e };
        let (plan, flags) = self.plan(state, transfer, keyword, variables).await.map_err(failed)?;
        let plan = Arc::new(plan);
        let digest = {
            let plan = plan.clone();
            blocking(move || plan.digest()).await?
        };
        let mut destination = join_dir(&plan.work_dir, &plan.destination);
        if plan.destination.ends_with('/') && destination != "/" {
            destination.push('/');
        }
        let created_by = state.config.comment(&format!("{keyword} {flags}{digest} in {destination} "));
        if self.cached(state, &created_by).await? {
            return Ok(());
        }
        let (engine, image) = (self.engine.clone(), state.image.clone());
        let layer = blocking(move || {
            let base = image.map(|pin| image_tree(&engine, pin.id())).transpose()?;
            plan.layer(base)
        })
        .await;
        let layer = layer.map_err(|e| failed(e.context("failed to copy files").into()))?;
        let how = self.derivation(state, created_by);
        state.image = Some(self.executor.commit(state.image.as_ref(), Some(layer), how).await?);
        Ok(())
    }

    /// What is to be copied, and the flags as they are part of the step's identity.
    async fn plan(
        &mut self,
        state: &State,
        transfer: &Transfer,
        keyword: &str,
        variables: &Variables,
    ) -> Result<(Plan, String), Failure> {
        let lexer = self.lexer;
        let word = |text: &str| lexer.word(text, &|n| variables.get(n).cloned()).map_err(Error::invalid);
        let is_add = keyword == "ADD";
        let from = transfer.from.as_deref().map(word).transpose()?;
        let tree = match &from {
            Some(name) => self.from(name).await?,
            None => self.context.clone(),
        };
        let mut items = Vec::new();
        for source in &transfer.sources {
            let source = word(source)?;
            if is_add && fetch::is_url(&source) {
                items.push(self.fetched(&source, transfer, &word(&transfer.destination)?).await?);
                continue;
            }
            if is_add && (source.starts_with("git@") || source.starts_with("git://")) {
                return Err(
                    Error::not_implemented("git repositories are not supported as sources of ADD").into()
                );
            }
            if transfer.checksum.is_some() {
                return Err(Error::invalid("checksum can't be specified for non-HTTP(S) sources").into());
            }
            let (tree, parents, is_context) = (tree.clone(), transfer.parents, from.is_none());
            let found = blocking(move || transfer::find(&tree, &source, parents, is_context)).await?;
            let unpack = is_add && transfer.unpack.unwrap_or(true);
            items.extend(found.into_iter().map(|item| Item { unpack, ..item }));
        }
        items.extend(self.heredocs(&transfer.heredocs, variables)?);
        let destination = word(&transfer.destination)?;
        let is_dir =
            destination.ends_with('/') || destination.ends_with("/.") || matches!(&*destination, "." | "..");
        if items.len() > 1 && !is_dir {
            return Err(Error::invalid(format!(
                "When using {keyword} with more than one source file, the destination must be a directory and end with a /"
            ))
            .into());
        }
        let chown = transfer.chown.as_deref().map(word).transpose()?;
        let owner = match &chown {
            Some(text) => {
                let (engine, image, text) = (self.engine.clone(), state.image.clone(), text.clone());
                let owner = blocking(move || {
                    let tree = image.map(|pin| image_tree(&engine, pin.id())).transpose()?;
                    transfer::owner(&text, tree.as_deref())
                });
                Some(
                    owner
                        .await
                        .map_err(|e| e.context("unable to convert uid/gid chown string to host mapping"))?,
                )
            }
            None => None,
        };
        let chmod = transfer.chmod.as_deref().map(word).transpose()?;
        let exclude = transfer.exclude.iter().map(|p| word(p)).collect::<Result<Vec<_>>>()?;
        let mut flags = String::new();
        for (name, value) in [("chown", &chown), ("chmod", &chmod)] {
            flags.extend(value.iter().map(|value| format!("--{name}={value} ")));
        }
        flags.push_str(if transfer.link { "--link " } else { "" });
        let plan = Plan {
            items,
            destination,
            work_dir: state.config.text("WorkingDir").to_owned(),
            owner,
            preserve: from.is_some(),
            mode: chmod.as_deref().map(Mode::parse).transpose()?,
            exclude: Ignore::of(exclude.iter().map(String::as_str)).map_err(Error::invalid)?,
            is_linked: transfer.link,
            scratch: self.scratch.clone(),
            now: clock::now().unix_timestamp(),
        };
        Ok((plan, flags))
    }

    /// The files that `--from` names: of an earlier stage, by name or number, or of an image.
    async fn from(&mut self, name: &str) -> Result<Arc<dyn Tree>, Failure> {
        let bad = |e: Error| Failure::from(e.context(format!("invalid from flag value {name}")));
        let lower = name.to_lowercase();
        let numbered = name.parse::<usize>();
        let pin = if let Some(done) = self.done.iter().find(|d| d.name.as_deref() == Some(&lower)) {
            done.image.clone()
        } else if let Ok(number) = numbered {
            match self.done.get(number) {
                Some(done) => done.image.clone(),
                None if number == self.done.len() => {
                    return Err(bad(Error::invalid(format!("{name} refers to current build stage"))));
                }
                None => return Err(bad(Error::invalid("index out of bounds"))),
            }
        } else {
            match self.image(name, &self.options.platform).await {
                Ok(pin) => Some(pin),
                Err(e) if e.error.kind == Kind::NotFound => return Err(bad(e.error)),
                Err(e) => return Err(e),
            }
        };
        let Some(pin) = pin else {
            return Ok(Arc::new(Builder::new(&self.scratch)?.finish()));
        };
        if let Some(known) = self.trees.get(pin.id()) {
            return Ok(known.clone());
        }
        let (engine, id) = (self.engine.clone(), pin.id().to_owned());
        let tree = blocking(move || image_tree(&engine, &id)).await?;
        self.trees.insert(pin.id().to_owned(), tree.clone());
        Ok(tree)
    }

    async fn fetched(&self, url: &str, transfer: &Transfer, destination: &str) -> Result<Item, Failure> {
        let fetched = fetch::fetch(url, &self.scratch, Some(&self.executor)).await?;
        if fetched.name.is_empty() && destination.ends_with('/') {
            return Err(Error::invalid(format!("cannot determine filename from url: {url}")).into());
        }
        let tree: Arc<dyn Tree> = fetched.tree;
        if let Some(wanted) = &transfer.checksum {
            let got = format!("sha256:{}", hex::encode(tree.digest(fetched.node)?));
            if !wanted.starts_with("sha256:") {
                return Err(
                    Error::invalid(format!("unsupported checksum {wanted:?}: only sha256 is known")).into()
                );
            }
            if *wanted != got {
                return Err(Error::invalid(format!("digest mismatch {got}: {wanted}")).into());
            }
        }
        Ok(Item {
            tree,
            node: fetched.node,
            name: fetched.name,
            parents: Vec::new(),
            keeps_name: false,
            unpack: transfer.unpack.unwrap_or(false),
        })
    }

    /// Files whose text is in the Dockerfile.
    fn heredocs(&self, heredocs: &[Heredoc], variables: &Variables) -> Result<Vec<Item>> {
        if heredocs.is_empty() {
            return Ok(Vec::new());
        }
        let mut builder = Builder::new(&self.scratch)?;
        let mut nodes = Vec::new();
        for heredoc in heredocs {
            let mut text = heredoc.text();
            if heredoc.expand {
                text = expand_text(self.lexer, &text, variables)?;
            }
            let node = builder.file(heredoc.name.as_bytes(), 0o644, 0, &mut text.as_bytes())?;
            nodes.push((heredoc.name.clone().into_bytes(), node));
        }
        let tree: Arc<dyn Tree> = Arc::new(builder.finish());
        let item = |(name, node)| Item {
            tree: tree.clone(),
            node,
            name,
            parents: Vec::new(),
            keeps_name: false,
            unpack: false,
        };
        Ok(nodes.into_iter().map(item).collect())
    }
}

/// Variables in the text of a file: quotes are characters like others there.
fn expand_text(lexer: Lexer, text: &str, variables: &Variables) -> Result<String> {
    lexer.text(text, &|n| variables.get(n).cloned()).map_err(Error::invalid)
}

fn platform(text: &str) -> Platform {
    let mut parts = text.split('/').map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    Platform { os: next(), architecture: next(), variant: next() }
}

fn needs_buildkit(flag: &str) -> Error {
    Error::invalid(format!(
        "the --{flag} option requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ to learn how to build images with BuildKit enabled"
    ))
}

/// A heredoc that names its own interpreter.
struct Script {
    path: String,
    text: String,
}

impl Script {
    fn write(&self, dir: &std::path::Path) -> Result<tempfile::TempPath> {
        use std::io::Write;
        use std::os::unix::fs::PermissionsExt;
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(self.text.as_bytes())?;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o755))?;
        // Closed: what is open for writing cannot be executed.
        Ok(file.into_temp_path())
    }
}

/// The words of a RUN, and the script that they start if it is one.
fn run_words(state: &State, run: &Run) -> (Vec<String>, Option<Script>) {
    let CommandLine::Shell(line) = &run.command else { return (state.config.command(&run.command), None) };
    let [first, ..] = &run.heredocs[..] else { return (state.config.command(&run.command), None) };
    let is_alone = run.heredocs.len() == 1
        && line.trim_start().starts_with("<<")
        && !line.trim().contains(char::is_whitespace);
    if is_alone {
        let text = first.text();
        if text.starts_with("#!") {
            let path = format!("/dev/pipes/{}", first.name.replace('/', "_"));
            return (vec![path.clone()], Some(Script { path, text }));
        }
        return ([state.config.shell(), vec![text]].concat(), None);
    }
    // The shell knows what a heredoc is.
    let mut text = line.clone();
    for heredoc in &run.heredocs {
        text.push_str(&format!("\n{}{}", heredoc.content, heredoc.name));
    }
    ([state.config.shell(), vec![text]].concat(), None)
}

/// The layer that a step of an image's history added.
fn layer_of(image: &carrack_images::Image, step: usize) -> Option<&str> {
    let is_layer = |h: &&carrack_images::store::History| !h.empty_layer;
    image.history.get(step).filter(is_layer)?;
    let below = image.history.iter().take(step).filter(is_layer).count();
    image.layers.get(below).map(String::as_str)
}

/// What is known of steps that were executed; `names`: of `--cache-from`.
fn known_steps(engine: &Engine, names: Option<Vec<String>>) -> Result<Cache> {
    let store = engine.images.store();
    let all = store.list().map_err(refused)?;
    let sources = names.map(|names| names.iter().filter_map(|n| store.resolve(n).ok()).collect());
    Ok(Cache::new(all, sources))
}
