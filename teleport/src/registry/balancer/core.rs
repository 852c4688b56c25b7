//! What all handles of a balancer and its tasks share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::member::{Link, Member};
use super::policy::{Candidate, Policy};
use super::{InstanceStatus, Settings};
use crate::peer::Peer;
use crate::registry::erased::AnyRegistry;
use crate::registry::{Instance, View};
use crate::session::Session;

pub(super) struct Core {
    pub(super) peer: Peer,
    pub(super) service: Arc<str>,
    registry: AnyRegistry,
    policy: Box<dyn Policy>,
    pub(super) settings: Settings,
    runtime: Handle,
    list: Mutex<List>,
    /// Who may get calls now; whoever waits for one waits for this to change.
    pub(super) snapshot: watch::Sender<Arc<Snapshot>>,
    pub(super) gone: CancellationToken,
}

/// What the registry told.
#[derive(Default)]
struct List {
    members: BTreeMap<String, Arc<Member>>,
    is_told: bool,
    /// Why it is not watched at the moment.
    failure: Option<Arc<str>>,
}

/// The instances as they are at one moment.
#[derive(Default)]
pub(super) struct Snapshot {
    /// Those that may be chosen.
    candidates: Vec<Candidate>,
    /// Those of the others that are being dialed.
    pub(super) dialing: Vec<Arc<Instance>>,
    /// Those that are not dialed before a pause is over, and why.
    pub(super) resting: Vec<(Arc<Instance>, Arc<str>)>,
    /// The registry has told which instances there are.
    pub(super) is_told: bool,
    pub(super) failure: Option<Arc<str>>,
}

/// What came of choosing.
pub(super) enum Choice {
    Session(Session),
    /// It has to be dialed first.
    Dial(Arc<Member>),
    /// Sessions have ended, and this was not told yet.
    Stale,
    Nobody,
}

impl Core {
    pub(super) fn new(
        peer: Peer,
        registry: AnyRegistry,
        service: Arc<str>,
        policy: Box<dyn Policy>,
        settings: Settings,
    ) -> Self {
        Core {
            peer,
            service,
            registry,
            policy,
            settings,
            runtime: Handle::current(),
            list: Mutex::default(),
            snapshot: watch::Sender::default(),
            gone: CancellationToken::new(),
        }
    }

    /// Starts to watch the registry.
    pub(super) fn start(self: &Arc<Self>) {
        let core = self.clone();
        self.runtime.spawn(async move {
            let gone = core.gone.clone();
            gone.run_until_cancelled(core.follow()).await;
        });
    }

    /// Watches the registry, again and again.
    async fn follow(self: Arc<Self>) {
        let view = View::new({
            let core = self.clone();
            move |instances| core.update(instances)
        });
        let mut failed = 0;
        loop {
            let reason: Arc<str> = match self.registry.watch(&self.service, &view).await {
                Ok(()) => "the watch ended".into(),
                Err(error) => error.to_string().into(),
            };
            // Where it had told something since the last attempt, this is the first failure.
            failed = if self.note_failure(&reason) { failed + 1 } else { 1 };
            if failed == 1 {
                tracing::warn!(target: "teleport", service = %self.service, %reason, "the registry is not watched");
            }
            tokio::time::sleep(self.settings.backoff.pause(failed)).await;
        }
    }

    /// Notes why the registry is not watched; whether it was not before either.
    fn note_failure(&self, reason: &Arc<str>) -> bool {
        let mut list = self.list.lock();
        let again = list.failure.replace(reason.clone()).is_some();
        self.publish_locked(&list);
        again
    }

    /// Takes over what the registry told.
    fn update(self: &Arc<Self>, instances: Vec<Instance>) {
        let wanted = instances.into_iter().filter(|instance| instance.weight > 0);
        let listed: BTreeMap<_, _> =
            wanted.map(|instance| (instance.id.clone(), Arc::new(instance))).collect();
        let mut list = self.list.lock();
        list.is_told = true;
        list.failure = None;
        list.members.retain(|id, member| {
            let stays = listed.get(id).is_some_and(|instance| instance.address == member.instance().address);
            if !stays {
                member.gone.cancel();
            }
            stays
        });
        for (id, instance) in listed {
            match list.members.get(&id) {
                Some(member) => member.set_instance(instance),
                None => {
                    let member = Arc::new(Member::new(instance, &self.settings, self.gone.child_token()));
                    for index in 0..self.settings.sessions {
                        self.runtime.spawn(member.clone().keep(self.clone(), index));
                    }
                    list.members.insert(id, member);
                }
            }
        }
        self.publish_locked(&list);
    }

    /// Tells those who wait that something has changed.
    pub(super) fn publish(&self) {
        self.publish_locked(&self.list.lock());
    }

    fn publish_locked(&self, list: &MutexGuard<'_, List>) {
        let mut snapshot =
            Snapshot { is_told: list.is_told, failure: list.failure.clone(), ..Snapshot::default() };
        for member in list.members.values() {
            snapshot.enter(member);
        }
        self.snapshot.send_replace(Arc::new(snapshot));
    }

    pub(super) fn statuses(&self) -> Vec<InstanceStatus> {
        self.list.lock().members.values().map(|member| InstanceStatus::of(member)).collect()
    }

    pub(super) fn choose(&self, snapshot: &Snapshot) -> Choice {
        let candidates = &snapshot.candidates;
        if candidates.is_empty() {
            return Choice::Nobody;
        }
        let chosen = &candidates[self.policy.choose(candidates) % candidates.len()];
        if let Some(choice) = chosen.take() {
            return choice;
        }
        // Its sessions have ended just now. The others are asked once more without it and its like.
        let usable: Vec<_> = candidates.iter().filter(|candidate| candidate.is_usable()).cloned().collect();
        if usable.is_empty() {
            return Choice::Stale;
        }
        usable[self.policy.choose(&usable) % usable.len()].take().unwrap_or(Choice::Stale)
    }
}

impl Snapshot {
    fn enter(&mut self, member: &Arc<Member>) {
        let (instance, links) = member.look();
        let (mut sessions, mut idle, mut dialing, mut resting) = (Vec::new(), false, false, None);
        for link in links {
            match link {
                Link::Ready(session) => sessions.push(session),
                Link::Idle => idle = true,
                Link::Dialing => dialing = true,
                Link::Resting(reason) => resting = Some(reason),
            }
        }
        if !sessions.is_empty() || idle {
            self.candidates.push(Candidate { instance, sessions, member: member.clone() });
        } else if dialing {
            self.dialing.push(instance);
        } else if let Some(reason) = resting {
            self.resting.push((instance, reason));
        }
    }

    /// Whether it is worth while to wait for another one.
    pub(super) fn may_change(&self, settings: &Settings) -> bool {
        !settings.fail_fast || self.resting.is_empty() || !self.dialing.is_empty()
    }

    /// Why nobody could be chosen, `waited` for.
    pub(super) fn why_nobody(&self, service: &str, waited: Duration) -> String {
        /// More are counted, not named.
        const NAMED: usize = 8;
        let failure = match &self.failure {
            Some(failure) => format!("; the registry can't be watched: {failure}"),
            None => String::new(),
        };
        if !self.is_told && self.failure.is_none() {
            return format!(
                "no instance of {service} is known: the registry did not answer within {waited:?}"
            );
        }
        let resting = self.resting.iter().map(|(instance, reason)| (instance, &**reason));
        let dialing = self.dialing.iter().map(|instance| (instance, "still being dialed"));
        let ended =
            self.candidates.iter().map(|candidate| (&candidate.instance, "its session has just ended"));
        let all: Vec<_> = resting.chain(dialing).chain(ended).collect();
        if all.is_empty() {
            return format!("no instance of {service} is known, waited {waited:?} for one{failure}");
        }
        let mut text = format!("none of {} instances of {service} can be reached", all.len());
        for (n, (instance, reason)) in all.iter().take(NAMED).enumerate() {
            let between = if n == 0 { ": " } else { "; " };
            text += &format!("{between}{} at {}: {reason}", instance.id, instance.address);
        }
        if all.len() > NAMED {
            text += &format!("; and {} more", all.len() - NAMED);
        }
        text + &failure
    }
}

impl Candidate {
    fn open(&self) -> impl Iterator<Item = &Session> {
        self.sessions.iter().filter(|session| session.takes_calls())
    }

    fn is_usable(&self) -> bool {
        self.sessions.is_empty() || self.open().next().is_some()
    }

    /// What there is to be had of it; `None` where its sessions have ended.
    fn take(&self) -> Option<Choice> {
        match &*self.sessions {
            [] => Some(Choice::Dial(self.member.clone())),
            [only] => only.takes_calls().then(|| Choice::Session(only.clone())),
            _ => self.open().min_by_key(|session| session.pulls_in_flight()).cloned().map(Choice::Session),
        }
    }
}
