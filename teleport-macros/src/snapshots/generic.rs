#[deprecated]
#[cfg(unix)]
pub(super) trait Store<
    K,
    V = String,
    const N: usize = 4,
>: Debug + Send + ::core::marker::Sync + 'static
where
    K: Key,
{
    #[cfg(feature = "get")]
    fn get<'a>(
        &self,
        key: K,
        hint: &'a str,
        user: User<'a>,
    ) -> impl ::core::future::Future<Output = io::Result<V>> + ::core::marker::Send;
}
#[cfg(unix)]
#[doc(hidden)]
#[allow(dead_code, non_snake_case, unreachable_pub)]
pub(super) mod __store {
    #[cfg(feature = "get")]
    #[allow(non_camel_case_types, dead_code)]
    pub(in super::super) enum get {}
}
#[cfg(unix)]
#[cfg(feature = "get")]
impl tp::__private::Method for __store::get {
    type Codecs = (tp::__private::Json, tp::__private::Bincode);
    const SPEC: tp::__private::MethodSpec = tp::__private::MethodSpec::new(
            "Store::get",
            "/kv/get",
            &["key", "hint", "user"],
        )
        .describe(&["K", "&'a str", "User<'a>"], "io::Result<V>", "");
}
#[cfg(unix)]
#[cfg(feature = "get")]
impl tp::__private::Accepts<tp::__private::Json> for __store::get {}
#[cfg(unix)]
#[cfg(feature = "get")]
impl tp::__private::Accepts<tp::__private::Bincode> for __store::get {}
#[cfg(unix)]
/// Serves an implementation of [`Store`]: hand it to a peer or router, which then answers its methods.
#[deprecated]
#[allow(dead_code)]
pub(super) struct StoreServer<K, V, const N: usize, S> {
    service: ::std::sync::Arc<S>,
    marker: ::core::marker::PhantomData<fn() -> (K, V)>,
}
#[cfg(unix)]
#[allow(dead_code, deprecated, clippy::all, clippy::pedantic)]
impl<K, V, const N: usize, __S: Store<K, V, N>> StoreServer<K, V, N, __S>
where
    K: Key,
{
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
#[cfg(unix)]
#[allow(deprecated)]
#[automatically_derived]
impl<K, V, const N: usize, __S> ::core::clone::Clone for StoreServer<K, V, N, __S> {
    fn clone(&self) -> Self {
        Self {
            service: ::core::clone::Clone::clone(&self.service),
            marker: ::core::marker::PhantomData,
        }
    }
}
#[cfg(unix)]
#[allow(deprecated)]
#[automatically_derived]
impl<K, V, const N: usize, __S> ::core::fmt::Debug for StoreServer<K, V, N, __S> {
    fn fmt(&self, formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        formatter.debug_struct(::core::stringify!(StoreServer)).finish_non_exhaustive()
    }
}
#[cfg(unix)]
#[allow(deprecated, unused_variables, clippy::all, clippy::pedantic)]
#[automatically_derived]
impl<K, V, const N: usize, __S: Store<K, V, N>> tp::__private::Service
for StoreServer<K, V, N, __S>
where
    K: Key,
{
    const NAME: &'static ::core::primitive::str = "Store";
    fn register(self, routes: &mut tp::__private::Routes) {
        #[cfg(feature = "get")]
        routes
            .pull::<
                __store::get,
                tp::__private::Written<
                    __store::get,
                    <io::Result<V> as tp::__private::ReplyResult>::Value,
                >,
                _,
                _,
                _,
            >(
                &self.service,
                |service: ::std::sync::Arc<__S>, cx: tp::__private::Context| async move {
                    match tp::__private::arguments::<
                        __store::get,
                        tp::__private::Named<
                            __store::get,
                            (
                                tp::__private::Read<'_, __store::get, K>,
                                tp::__private::Read<'_, __store::get, &'_ str>,
                                tp::__private::Read<'_, __store::get, User<'_>>,
                            ),
                        >,
                    >(&cx) {
                        ::core::result::Result::Ok(args) => {
                            let (arg0, arg1, arg2) = args.into_inner();
                            {
                                let value = <__S as Store<
                                    K,
                                    V,
                                    N,
                                >>::get(&*service, arg0, arg1, arg2)
                                    .await;
                                tp::__private::ReplyResult::into_reply(value)
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
#[cfg(unix)]
/// Calls the methods of [`Store`] on the other side of a session; cheap to clone.
#[deprecated]
#[allow(dead_code)]
pub(super) struct StoreClient<K, V, const N: usize> {
    core: tp::__private::ClientCore,
    marker: ::core::marker::PhantomData<fn() -> (K, V)>,
}
#[cfg(unix)]
#[allow(dead_code, deprecated, clippy::all, clippy::pedantic)]
impl<K, V, const N: usize> StoreClient<K, V, N>
where
    K: Key,
{
    /// A client of the other side of a `&Session`; of a `&Balancer`, one that picks a session for each call.
    pub fn new(target: impl tp::__private::IntoTarget) -> Self {
        Self {
            core: tp::__private::ClientCore::new(
                tp::__private::IntoTarget::into_target(target),
            ),
            marker: ::core::marker::PhantomData,
        }
    }
    /// The session that calls go to; none where one is picked for each call.
    pub fn session(&self) -> ::core::option::Option<&tp::__private::Session> {
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
    #[cfg(feature = "get")]
    /// Pulls `/kv/get`, where [`Store::get`] answers.
    pub fn get<'call>(
        &'call self,
        key: K,
        hint: &'call str,
        user: User<'call>,
    ) -> tp::__private::PullCall<
        'call,
        __store::get,
        tp::__private::Named<__store::get, (K, &'call str, User<'call>)>,
        <io::Result<V> as tp::__private::ReplyResult>::Value,
    > {
        tp::__private::pull_call::<
            __store::get,
            tp::__private::Named<
                __store::get,
                (
                    tp::__private::Written<__store::get, K>,
                    tp::__private::Written<__store::get, &'call str>,
                    tp::__private::Written<__store::get, User<'call>>,
                ),
            >,
            tp::__private::Read<
                '_,
                __store::get,
                <io::Result<V> as tp::__private::ReplyResult>::Value,
            >,
        >(&self.core, tp::__private::Named::new((key, hint, user)))
    }
}
#[cfg(unix)]
#[allow(deprecated)]
#[automatically_derived]
impl<K, V, const N: usize> ::core::clone::Clone for StoreClient<K, V, N> {
    fn clone(&self) -> Self {
        Self {
            core: ::core::clone::Clone::clone(&self.core),
            marker: ::core::marker::PhantomData,
        }
    }
}
#[cfg(unix)]
#[allow(deprecated)]
#[automatically_derived]
impl<K, V, const N: usize> ::core::fmt::Debug for StoreClient<K, V, N> {
    fn fmt(&self, formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        formatter.debug_struct(::core::stringify!(StoreClient)).finish_non_exhaustive()
    }
}
