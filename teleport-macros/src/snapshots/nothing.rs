pub(crate) trait Nothing: ::core::marker::Send + ::core::marker::Sync + 'static {}
#[doc(hidden)]
#[allow(dead_code, non_snake_case, unreachable_pub)]
pub(crate) mod __nothing {}
/// Serves an implementation of [`Nothing`]: hand it to a peer or router, which then answers its methods.
#[allow(dead_code)]
pub(crate) struct NothingServer<S> {
    service: ::std::sync::Arc<S>,
    marker: ::core::marker::PhantomData<fn() -> ()>,
}
#[allow(dead_code, deprecated, clippy::all, clippy::pedantic)]
impl<__S: Nothing> NothingServer<__S> {
    /// Serves `service`.
    pub fn new(service: __S) -> Self {
        Self::from_arc(::std::sync::Arc::new(service))
    }
    /// Serves a service that other code holds as well.
    pub fn from_arc(service: ::std::sync::Arc<__S>) -> Self {
        Self {
            service,
            marker: ::core::marker::PhantomData,
        }
    }
}
#[allow(deprecated)]
#[automatically_derived]
impl<__S> ::core::clone::Clone for NothingServer<__S> {
    fn clone(&self) -> Self {
        Self {
            service: ::core::clone::Clone::clone(&self.service),
            marker: ::core::marker::PhantomData,
        }
    }
}
#[allow(deprecated)]
#[automatically_derived]
impl<__S> ::core::fmt::Debug for NothingServer<__S> {
    fn fmt(&self, formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        formatter.debug_struct(::core::stringify!(NothingServer)).finish_non_exhaustive()
    }
}
#[allow(deprecated, unused_variables, clippy::all, clippy::pedantic)]
#[automatically_derived]
impl<__S: Nothing> ::teleport::__private::Service for NothingServer<__S> {
    const NAME: &'static ::core::primitive::str = "Nothing";
    fn register(self, routes: &mut ::teleport::__private::Routes) {}
}
/// Calls the methods of [`Nothing`] on the other side of a session; cheap to clone.
#[allow(dead_code)]
pub(crate) struct NothingClient {
    core: ::teleport::__private::ClientCore,
    marker: ::core::marker::PhantomData<fn() -> ()>,
}
#[allow(dead_code, deprecated, clippy::all, clippy::pedantic)]
impl NothingClient {
    /// A client of the other side of a `&Session`; of a `&Balancer`, one that picks a session for each call.
    pub fn new(target: impl ::teleport::__private::IntoTarget) -> Self {
        Self {
            core: ::teleport::__private::ClientCore::new(
                ::teleport::__private::IntoTarget::into_target(target),
            ),
            marker: ::core::marker::PhantomData,
        }
    }
    /// The session that calls go to; none where one is picked for each call.
    pub fn session(&self) -> ::core::option::Option<&::teleport::__private::Session> {
        self.core.session()
    }
    /// Puts `prefix` before the uri of every call, for a service that is routed under a group.
    #[must_use]
    pub fn with_prefix(self, prefix: &::core::primitive::str) -> Self {
        Self {
            core: self.core.with_prefix(prefix),
            marker: self.marker,
        }
    }
}
#[allow(deprecated)]
#[automatically_derived]
impl ::core::clone::Clone for NothingClient {
    fn clone(&self) -> Self {
        Self {
            core: ::core::clone::Clone::clone(&self.core),
            marker: ::core::marker::PhantomData,
        }
    }
}
#[allow(deprecated)]
#[automatically_derived]
impl ::core::fmt::Debug for NothingClient {
    fn fmt(&self, formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        formatter.debug_struct(::core::stringify!(NothingClient)).finish_non_exhaustive()
    }
}
