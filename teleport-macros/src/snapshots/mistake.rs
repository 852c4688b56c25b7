pub trait Arith: ::core::marker::Send + ::core::marker::Sync + 'static {
    fn wrong(
        &mut self,
    ) -> impl ::core::future::Future<Output = i64> + ::core::marker::Send;
    fn fine(&self) -> impl ::core::future::Future<Output = i64> + ::core::marker::Send;
}
#[doc(hidden)]
#[allow(dead_code, non_snake_case, unreachable_pub)]
pub mod __arith {
    #[allow(non_camel_case_types, dead_code)]
    pub enum fine {}
}
impl ::teleport::__private::Method for __arith::fine {
    type Codecs = (::teleport::__private::Json, ::teleport::__private::Bincode);
    const SPEC: ::teleport::__private::MethodSpec = ::teleport::__private::MethodSpec::new(
            "Arith::fine",
            "/arith/fine",
            &[],
        )
        .describe(&[], "i64", "");
}
impl ::teleport::__private::Accepts<::teleport::__private::Json> for __arith::fine {}
impl ::teleport::__private::Accepts<::teleport::__private::Bincode> for __arith::fine {}
/// Serves an implementation of [`Arith`]: hand it to a peer or router, which then answers its methods.
#[allow(dead_code)]
pub struct ArithServer<S> {
    service: ::std::sync::Arc<S>,
    marker: ::core::marker::PhantomData<fn() -> ()>,
}
#[allow(dead_code, deprecated, clippy::all, clippy::pedantic)]
impl<__S: Arith> ArithServer<__S> {
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
impl<__S> ::core::clone::Clone for ArithServer<__S> {
    fn clone(&self) -> Self {
        Self {
            service: ::core::clone::Clone::clone(&self.service),
            marker: ::core::marker::PhantomData,
        }
    }
}
#[allow(deprecated)]
#[automatically_derived]
impl<__S> ::core::fmt::Debug for ArithServer<__S> {
    fn fmt(&self, formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        formatter.debug_struct(::core::stringify!(ArithServer)).finish_non_exhaustive()
    }
}
#[allow(deprecated, unused_variables, clippy::all, clippy::pedantic)]
#[automatically_derived]
impl<__S: Arith> ::teleport::__private::Service for ArithServer<__S> {
    const NAME: &'static ::core::primitive::str = "Arith";
    fn register(self, routes: &mut ::teleport::__private::Routes) {
        routes
            .pull::<
                __arith::fine,
                ::teleport::__private::Written<__arith::fine, i64>,
                _,
                _,
                _,
            >(
                &self.service,
                |service: ::std::sync::Arc<__S>, cx: ::teleport::__private::Context| async move {
                    {
                        let value = <__S as Arith>::fine(&*service).await;
                        ::core::result::Result::Ok(value)
                    }
                },
            );
    }
}
/// Calls the methods of [`Arith`] on the other side of a session; cheap to clone.
#[allow(dead_code)]
pub struct ArithClient {
    core: ::teleport::__private::ClientCore,
    marker: ::core::marker::PhantomData<fn() -> ()>,
}
#[allow(dead_code, deprecated, clippy::all, clippy::pedantic)]
impl ArithClient {
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
    /// Pulls `/arith/fine`, where [`Arith::fine`] answers.
    pub fn fine<'call>(
        &'call self,
    ) -> ::teleport::__private::PullCall<'call, __arith::fine, (), i64> {
        ::teleport::__private::pull_call_empty::<
            __arith::fine,
            ::teleport::__private::Read<'_, __arith::fine, i64>,
        >(&self.core)
    }
}
#[allow(deprecated)]
#[automatically_derived]
impl ::core::clone::Clone for ArithClient {
    fn clone(&self) -> Self {
        Self {
            core: ::core::clone::Clone::clone(&self.core),
            marker: ::core::marker::PhantomData,
        }
    }
}
#[allow(deprecated)]
#[automatically_derived]
impl ::core::fmt::Debug for ArithClient {
    fn fmt(&self, formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        formatter.debug_struct(::core::stringify!(ArithClient)).finish_non_exhaustive()
    }
}
::core::compile_error! {
    "gzip levels go from -2 to 9: -2 is the fastest, -1 the usual, 0 off, 1 to 9 ever smaller"
}
::core::compile_error! {
    "many calls run at once on one service, so a method takes `&self`; keep what changes in a `Mutex` or an atomic"
}
