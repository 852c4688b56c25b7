trait Methods: ::core::marker::Send + ::core::marker::Sync + 'static {
    #[allow(clippy::manual_async_fn)]
    fn pair(
        &self,
        mut a: i64,
        b: Option<&str>,
    ) -> impl ::core::future::Future<Output = i64> + ::core::marker::Send {
        async move {
            a += 1;
            a
        }
    }
    fn now(&self) -> u64;
    fn bump(&self);
    fn by_hand(
        &self,
        a: i64,
        b: i64,
    ) -> impl Future<Output = Result<i64, Status>> + Send;
    fn r#type(
        &self,
        r#match: Cow<'_, str>,
    ) -> impl ::core::future::Future<Output = String> + ::core::marker::Send;
    #[allow(unused)]
    #[deprecated = "use `pair`"]
    #[cfg_attr(docs, doc = "Own.", instrument)]
    fn own(
        &self,
    ) -> impl ::core::future::Future<Output = Option<Vec<u8>>> + ::core::marker::Send;
}
#[doc(hidden)]
#[allow(dead_code, non_snake_case, unreachable_pub)]
mod __methods {
    #[allow(non_camel_case_types, dead_code)]
    pub(super) enum pair {}
    #[allow(non_camel_case_types, dead_code)]
    pub(super) enum now {}
    #[allow(non_camel_case_types, dead_code)]
    pub(super) enum bump {}
    #[allow(non_camel_case_types, dead_code)]
    pub(super) enum by_hand {}
    #[allow(non_camel_case_types, dead_code)]
    pub(super) enum r#type {}
    #[allow(non_camel_case_types, dead_code)]
    pub(super) enum own {}
}
impl ::teleport::__private::Method for __methods::pair {
    type Codecs = (::teleport::__private::Json, ::teleport::__private::Bincode);
    const SPEC: ::teleport::__private::MethodSpec = ::teleport::__private::MethodSpec::new(
            "Methods::pair",
            "/methods/pair",
            &["a", "b"],
        )
        .describe(&["i64", "Option<&str>"], "i64", "")
        .tuple();
}
impl ::teleport::__private::Accepts<::teleport::__private::Json> for __methods::pair {}
impl ::teleport::__private::Accepts<::teleport::__private::Bincode> for __methods::pair {}
impl ::teleport::__private::Method for __methods::now {
    type Codecs = (::teleport::__private::Json, ::teleport::__private::Bincode);
    const SPEC: ::teleport::__private::MethodSpec = ::teleport::__private::MethodSpec::new(
            "Methods::now",
            "/methods/now",
            &[],
        )
        .describe(&[], "u64", "");
}
impl ::teleport::__private::Accepts<::teleport::__private::Json> for __methods::now {}
impl ::teleport::__private::Accepts<::teleport::__private::Bincode> for __methods::now {}
impl ::teleport::__private::Method for __methods::bump {
    type Codecs = (::teleport::__private::Json, ::teleport::__private::Bincode);
    const SPEC: ::teleport::__private::MethodSpec = ::teleport::__private::MethodSpec::new(
            "Methods::bump",
            "/methods/bump",
            &[],
        )
        .describe(&[], "", "");
}
impl ::teleport::__private::Accepts<::teleport::__private::Json> for __methods::bump {}
impl ::teleport::__private::Accepts<::teleport::__private::Bincode> for __methods::bump {}
impl ::teleport::__private::Method for __methods::by_hand {
    type Codecs = (::teleport::__private::Bincode, ::teleport::__private::Json);
    const SPEC: ::teleport::__private::MethodSpec = ::teleport::__private::MethodSpec::new(
            "Methods::by_hand",
            "/methods/by_hand",
            &["a", "b"],
        )
        .describe(&["i64", "i64"], "i64", "");
}
impl ::teleport::__private::Accepts<::teleport::__private::Bincode>
for __methods::by_hand {}
impl ::teleport::__private::Accepts<::teleport::__private::Json> for __methods::by_hand {}
impl ::teleport::__private::Method for __methods::r#type {
    type Codecs = (::teleport::__private::Plain,);
    const SPEC: ::teleport::__private::MethodSpec = ::teleport::__private::MethodSpec::new(
            "Methods::type",
            "/methods/type",
            &["match"],
        )
        .describe(&["Cow<'_, str>"], "String", "");
}
impl ::teleport::__private::Accepts<::teleport::__private::Plain> for __methods::r#type {}
impl ::teleport::__private::Method for __methods::own {
    type Codecs = (codecs::MsgPack, ::teleport::__private::Json);
    const SPEC: ::teleport::__private::MethodSpec = ::teleport::__private::MethodSpec::new(
            "Methods::own",
            "/methods/own",
            &[],
        )
        .describe(&[], "Option<Vec<u8>>", "");
}
impl ::teleport::__private::Accepts<codecs::MsgPack> for __methods::own {}
impl ::teleport::__private::Accepts<::teleport::__private::Json> for __methods::own {}
/// Serves an implementation of [`Methods`]: hand it to a peer or router, which then answers its methods.
#[allow(dead_code)]
struct MethodsServer<S> {
    service: ::std::sync::Arc<S>,
    marker: ::core::marker::PhantomData<fn() -> ()>,
}
#[allow(dead_code, deprecated, clippy::all, clippy::pedantic)]
impl<__S: Methods> MethodsServer<__S> {
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
impl<__S> ::core::clone::Clone for MethodsServer<__S> {
    fn clone(&self) -> Self {
        Self {
            service: ::core::clone::Clone::clone(&self.service),
            marker: ::core::marker::PhantomData,
        }
    }
}
#[allow(deprecated)]
#[automatically_derived]
impl<__S> ::core::fmt::Debug for MethodsServer<__S> {
    fn fmt(&self, formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        formatter.debug_struct(::core::stringify!(MethodsServer)).finish_non_exhaustive()
    }
}
#[allow(deprecated, unused_variables, clippy::all, clippy::pedantic)]
#[automatically_derived]
impl<__S: Methods> ::teleport::__private::Service for MethodsServer<__S> {
    const NAME: &'static ::core::primitive::str = "Methods";
    fn register(self, routes: &mut ::teleport::__private::Routes) {
        routes
            .pull::<
                __methods::pair,
                ::teleport::__private::Written<__methods::pair, i64>,
                _,
                _,
                _,
            >(
                &self.service,
                |service: ::std::sync::Arc<__S>, cx: ::teleport::__private::Context| async move {
                    match ::teleport::__private::arguments::<
                        __methods::pair,
                        (
                            ::teleport::__private::Read<'_, __methods::pair, i64>,
                            ::teleport::__private::Read<
                                '_,
                                __methods::pair,
                                Option<&str>,
                            >,
                        ),
                    >(&cx) {
                        ::core::result::Result::Ok(args) => {
                            let (arg0, arg1) = args;
                            {
                                let value = <__S as Methods>::pair(&*service, arg0, arg1)
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
            .pull::<
                __methods::now,
                ::teleport::__private::Written<__methods::now, u64>,
                _,
                _,
                _,
            >(
                &self.service,
                |service: ::std::sync::Arc<__S>, cx: ::teleport::__private::Context| async move {
                    {
                        let value = <__S as Methods>::now(&*service);
                        ::core::result::Result::Ok(value)
                    }
                },
            );
        routes
            .push::<
                __methods::bump,
                _,
                _,
                _,
            >(
                &self.service,
                |service: ::std::sync::Arc<__S>, cx: ::teleport::__private::Context| async move {
                    {
                        let () = <__S as Methods>::bump(&*service);
                        ::core::result::Result::Ok(())
                    }
                },
            );
        routes
            .pull::<
                __methods::by_hand,
                ::teleport::__private::Written<__methods::by_hand, i64>,
                _,
                _,
                _,
            >(
                &self.service,
                |service: ::std::sync::Arc<__S>, cx: ::teleport::__private::Context| async move {
                    match ::teleport::__private::arguments::<
                        __methods::by_hand,
                        ::teleport::__private::Named<
                            __methods::by_hand,
                            (
                                ::teleport::__private::Read<'_, __methods::by_hand, i64>,
                                ::teleport::__private::Read<'_, __methods::by_hand, i64>,
                            ),
                        >,
                    >(&cx) {
                        ::core::result::Result::Ok(args) => {
                            let (arg0, arg1) = args.into_inner();
                            {
                                let value = <__S as Methods>::by_hand(&*service, arg0, arg1)
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
                __methods::r#type,
                ::teleport::__private::Written<__methods::r#type, String>,
                _,
                _,
                _,
            >(
                &self.service,
                |service: ::std::sync::Arc<__S>, cx: ::teleport::__private::Context| async move {
                    match ::teleport::__private::arguments::<
                        __methods::r#type,
                        ::teleport::__private::Read<'_, __methods::r#type, Cow<'_, str>>,
                    >(&cx) {
                        ::core::result::Result::Ok(args) => {
                            let arg0 = args;
                            {
                                let value = <__S as Methods>::r#type(&*service, arg0).await;
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
            .pull::<
                __methods::own,
                ::teleport::__private::Written<__methods::own, Option<Vec<u8>>>,
                _,
                _,
                _,
            >(
                &self.service,
                |service: ::std::sync::Arc<__S>, cx: ::teleport::__private::Context| async move {
                    {
                        let value = <__S as Methods>::own(&*service).await;
                        ::core::result::Result::Ok(value)
                    }
                },
            );
    }
}
/// Calls the methods of [`Methods`] on the other side of a session; cheap to clone.
#[allow(dead_code)]
struct MethodsClient {
    core: ::teleport::__private::ClientCore,
    marker: ::core::marker::PhantomData<fn() -> ()>,
}
#[allow(dead_code, deprecated, clippy::all, clippy::pedantic)]
impl MethodsClient {
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
    /// Pulls `/methods/pair`, where [`Methods::pair`] answers.
    pub fn pair<'call>(
        &'call self,
        a: i64,
        b: Option<&'call str>,
    ) -> ::teleport::__private::PullCall<
        'call,
        __methods::pair,
        (i64, Option<&'call str>),
        i64,
    > {
        ::teleport::__private::pull_call::<
            __methods::pair,
            (
                ::teleport::__private::Written<__methods::pair, i64>,
                ::teleport::__private::Written<__methods::pair, Option<&'call str>>,
            ),
            ::teleport::__private::Read<'_, __methods::pair, i64>,
        >(&self.core, (a, b))
    }
    /// Pulls `/methods/now`, where [`Methods::now`] answers.
    pub fn now<'call>(
        &'call self,
    ) -> ::teleport::__private::PullCall<'call, __methods::now, (), u64> {
        ::teleport::__private::pull_call_empty::<
            __methods::now,
            ::teleport::__private::Read<'_, __methods::now, u64>,
        >(&self.core)
    }
    /// Pushes to `/methods/bump`, where [`Methods::bump`] takes it.
    pub fn bump<'call>(
        &'call self,
    ) -> ::teleport::__private::PushCall<'call, __methods::bump, ()> {
        ::teleport::__private::push_call_empty::<__methods::bump>(&self.core)
    }
    /// Pulls `/methods/by_hand`, where [`Methods::by_hand`] answers.
    pub fn by_hand<'call>(
        &'call self,
        a: i64,
        b: i64,
    ) -> ::teleport::__private::PullCall<
        'call,
        __methods::by_hand,
        ::teleport::__private::Named<__methods::by_hand, (i64, i64)>,
        i64,
    > {
        ::teleport::__private::pull_call::<
            __methods::by_hand,
            ::teleport::__private::Named<
                __methods::by_hand,
                (
                    ::teleport::__private::Written<__methods::by_hand, i64>,
                    ::teleport::__private::Written<__methods::by_hand, i64>,
                ),
            >,
            ::teleport::__private::Read<'_, __methods::by_hand, i64>,
        >(&self.core, ::teleport::__private::Named::new((a, b)))
    }
    /// Pulls `/methods/type`, where [`Methods::type`] answers.
    pub fn r#type<'call>(
        &'call self,
        r#match: Cow<'call, str>,
    ) -> ::teleport::__private::PullCall<
        'call,
        __methods::r#type,
        Cow<'call, str>,
        String,
    > {
        ::teleport::__private::pull_call::<
            __methods::r#type,
            ::teleport::__private::Written<__methods::r#type, Cow<'call, str>>,
            ::teleport::__private::Read<'_, __methods::r#type, String>,
        >(&self.core, r#match)
    }
    #[cfg_attr(docs, doc = "Own.")]
    ///
    /// Pulls `/methods/own`, where [`Methods::own`] answers.
    #[allow(unused)]
    #[deprecated = "use `pair`"]
    pub fn own<'call>(
        &'call self,
    ) -> ::teleport::__private::PullCall<'call, __methods::own, (), Option<Vec<u8>>> {
        ::teleport::__private::pull_call_empty::<
            __methods::own,
            ::teleport::__private::Read<'_, __methods::own, Option<Vec<u8>>>,
        >(&self.core)
    }
}
#[allow(deprecated)]
#[automatically_derived]
impl ::core::clone::Clone for MethodsClient {
    fn clone(&self) -> Self {
        Self {
            core: ::core::clone::Clone::clone(&self.core),
            marker: ::core::marker::PhantomData,
        }
    }
}
#[allow(deprecated)]
#[automatically_derived]
impl ::core::fmt::Debug for MethodsClient {
    fn fmt(&self, formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        formatter.debug_struct(::core::stringify!(MethodsClient)).finish_non_exhaustive()
    }
}
