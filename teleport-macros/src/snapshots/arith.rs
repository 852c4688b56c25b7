/// Sums and products.
pub trait Arith: ::core::marker::Send + ::core::marker::Sync + 'static {
    /// Multiplies.
    fn mul(
        &self,
        a: i64,
        b: i64,
    ) -> impl ::core::future::Future<
        Output = Result<i64, Status>,
    > + ::core::marker::Send;
    fn whoami(
        &self,
        cx: &Context,
        name: &str,
    ) -> impl ::core::future::Future<Output = User> + ::core::marker::Send;
    fn log(
        &self,
        line: &str,
    ) -> impl ::core::future::Future<Output = ()> + ::core::marker::Send;
}
#[doc(hidden)]
#[allow(dead_code, non_snake_case, unreachable_pub)]
pub mod __arith {
    #[allow(non_camel_case_types, dead_code)]
    pub enum mul {}
    #[allow(non_camel_case_types, dead_code)]
    pub enum whoami {}
    #[allow(non_camel_case_types, dead_code)]
    pub enum log {}
}
impl ::teleport::__private::Method for __arith::mul {
    type Codecs = (::teleport::__private::Bincode, ::teleport::__private::Json);
    const SPEC: ::teleport::__private::MethodSpec = ::teleport::__private::MethodSpec::new(
            "Arith::mul",
            "/v1/arith/mul",
            &["a", "b"],
        )
        .describe(&["i64", "i64"], "i64", "Multiplies.")
        .timeout_us(5000000u64);
}
impl ::teleport::__private::Accepts<::teleport::__private::Bincode> for __arith::mul {}
impl ::teleport::__private::Accepts<::teleport::__private::Json> for __arith::mul {}
impl ::teleport::__private::Method for __arith::whoami {
    type Codecs = (::teleport::__private::Bincode, ::teleport::__private::Json);
    const SPEC: ::teleport::__private::MethodSpec = ::teleport::__private::MethodSpec::new(
            "Arith::whoami",
            "/home/test",
            &["name"],
        )
        .describe(&["&str"], "User", "")
        .gzip(5i32)
        .timeout_us(5000000u64);
}
impl ::teleport::__private::Accepts<::teleport::__private::Bincode> for __arith::whoami {}
impl ::teleport::__private::Accepts<::teleport::__private::Json> for __arith::whoami {}
impl ::teleport::__private::Method for __arith::log {
    type Codecs = (::teleport::__private::Bincode, ::teleport::__private::Json);
    const SPEC: ::teleport::__private::MethodSpec = ::teleport::__private::MethodSpec::new(
            "Arith::log",
            "/v1/arith/log",
            &["line"],
        )
        .describe(&["&str"], "", "");
}
impl ::teleport::__private::Accepts<::teleport::__private::Bincode> for __arith::log {}
impl ::teleport::__private::Accepts<::teleport::__private::Json> for __arith::log {}
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
                __arith::mul,
                ::teleport::__private::Written<__arith::mul, i64>,
                _,
                _,
                _,
            >(
                &self.service,
                |service: ::std::sync::Arc<__S>, cx: ::teleport::__private::Context| async move {
                    match ::teleport::__private::arguments::<
                        __arith::mul,
                        ::teleport::__private::Named<
                            __arith::mul,
                            (
                                ::teleport::__private::Read<'_, __arith::mul, i64>,
                                ::teleport::__private::Read<'_, __arith::mul, i64>,
                            ),
                        >,
                    >(&cx) {
                        ::core::result::Result::Ok(args) => {
                            let (arg0, arg1) = args.into_inner();
                            {
                                let value = <__S as Arith>::mul(&*service, arg0, arg1)
                                    .await;
                                ::teleport::__private::ReplyResult::into_reply(value)
                            }
                        }
                        ::core::result::Result::Err(status) => {
                            ::core::result::Result::Err(status)
                        }
                    }
                },
            );
        routes
            .pull::<
                __arith::whoami,
                ::teleport::__private::Written<__arith::whoami, User>,
                _,
                _,
                _,
            >(
                &self.service,
                |service: ::std::sync::Arc<__S>, cx: ::teleport::__private::Context| async move {
                    match ::teleport::__private::arguments::<
                        __arith::whoami,
                        ::teleport::__private::Read<'_, __arith::whoami, &str>,
                    >(&cx) {
                        ::core::result::Result::Ok(args) => {
                            let arg0 = args;
                            {
                                let value = <__S as Arith>::whoami(&*service, &cx, arg0)
                                    .await;
                                ::core::result::Result::Ok(value)
                            }
                        }
                        ::core::result::Result::Err(status) => {
                            ::core::result::Result::Err(status)
                        }
                    }
                },
            );
        routes
            .push::<
                __arith::log,
                _,
                _,
                _,
            >(
                &self.service,
                |service: ::std::sync::Arc<__S>, cx: ::teleport::__private::Context| async move {
                    match ::teleport::__private::arguments::<
                        __arith::log,
                        ::teleport::__private::Read<'_, __arith::log, &str>,
                    >(&cx) {
                        ::core::result::Result::Ok(args) => {
                            let arg0 = args;
                            {
                                let () = <__S as Arith>::log(&*service, arg0).await;
                                ::core::result::Result::Ok(())
                            }
                        }
                        ::core::result::Result::Err(status) => {
                            ::core::result::Result::Err(status)
                        }
                    }
                },
            );
    }
}
/// Calls the methods of [`Arith`] on the other side of a session; cheap to clone.
///
/// Sums and products.
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
    /// Multiplies.
    ///
    /// Pulls `/v1/arith/mul`, where [`Arith::mul`] answers.
    pub fn mul<'call>(
        &'call self,
        a: i64,
        b: i64,
    ) -> ::teleport::__private::PullCall<
        'call,
        __arith::mul,
        ::teleport::__private::Named<__arith::mul, (i64, i64)>,
        i64,
    > {
        ::teleport::__private::pull_call::<
            __arith::mul,
            ::teleport::__private::Named<
                __arith::mul,
                (
                    ::teleport::__private::Written<__arith::mul, i64>,
                    ::teleport::__private::Written<__arith::mul, i64>,
                ),
            >,
            ::teleport::__private::Read<'_, __arith::mul, i64>,
        >(&self.core, ::teleport::__private::Named::new((a, b)))
    }
    /// Pulls `/home/test`, where [`Arith::whoami`] answers.
    pub fn whoami<'call>(
        &'call self,
        name: &'call str,
    ) -> ::teleport::__private::PullCall<'call, __arith::whoami, &'call str, User> {
        ::teleport::__private::pull_call::<
            __arith::whoami,
            ::teleport::__private::Written<__arith::whoami, &'call str>,
            ::teleport::__private::Read<'_, __arith::whoami, User>,
        >(&self.core, name)
    }
    /// Pushes to `/v1/arith/log`, where [`Arith::log`] takes it.
    pub fn log<'call>(
        &'call self,
        line: &'call str,
    ) -> ::teleport::__private::PushCall<'call, __arith::log, &'call str> {
        ::teleport::__private::push_call::<
            __arith::log,
            ::teleport::__private::Written<__arith::log, &'call str>,
        >(&self.core, line)
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
