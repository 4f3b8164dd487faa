internal import CLibwebsockets

// The data path of the server. Everything from the socket to the log happens in one call on the loop's thread. Writing
// begins when the loop's turn ends, so that everything that one turn has received is written at once.
//
//   socket -> lws -> confabCallback (LWS_CALLBACK_RECEIVE)     here
//     -> Connection.receive -> Message                         Connection/Receive.swift
//     -> Handler.received                                      the chat, or the embedder's handler
//     -> BroadcastLog.append -> FrameLog.append                Log/
//     -> Fanout.logGrew -> EventLoop.schedule                  Loop/Fanout.swift, on each loop that has members
//   [all sockets have been read: EventLoop.endTurn]            Loop/EventLoop.swift
//     -> Turn.write                                            Loop/Turn.swift
//     -> Fanout.flush -> Socket.write -> lws_write             Loop/Fanout.swift: members that keep up
//     -> Connection.writeBacklog -> Socket.write               Connection/Writing.swift: members that lag, own messages
//   [a socket was full, and takes output again: LWS_CALLBACK_SERVER_WRITEABLE]
//     -> Connection.becameWritable -> writeBacklog             Connection/Closing.swift
//     -> Fanout.resume                                         the member is in the group again

/// The callback of libwebsockets. For most reasons, a result other than 0 ends the connection.
func confabCallback(
  _ wsi: OpaquePointer?, _ reason: lws_callback_reasons, _ user: UnsafeMutableRawPointer?,
  _ data: UnsafeMutableRawPointer?, _ length: Int
) -> Int32 {
  switch reason {
  case LWS_CALLBACK_RECEIVE:
    return unsafe Socket(wsi!).received(UnsafeRawBufferPointer(start: data, count: length)) ? 0 : -1

  case LWS_CALLBACK_SERVER_WRITEABLE:
    unsafe Socket(wsi!).connection.becameWritable()
    return 0

  case LWS_CALLBACK_GET_THREAD_ID:
    // The first call has a placeholder for a connection. It has no protocol, and its other members must not be read.
    if unsafe Context.of(wsi!) != nil {
      unsafe Socket(wsi!).boundConnection?.pollEventsChanged()
    } else {
      PollReports.wereTurnedOn()
    }
    return PollReports.threadID

  case LWS_CALLBACK_CONFIRM_EXTENSION_OKAY:
    return unsafe Context.of(wsi!)!.exchange.takesOffer(Socket(wsi!)) ? 0 : 1

  case LWS_CALLBACK_ADD_HEADERS:
    return unsafe LwsRequestHandler(wsi!).answersUpgrade(AnswerHeaders(data!)) ? 0 : -1

  case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
    let payload = unsafe [UInt8](UnsafeRawBufferPointer(start: data, count: length))
    return unsafe Socket(wsi!).connection.peerCloses(payload) ? 0 : -1

  case LWS_CALLBACK_WS_SERVER_DROP_PROTOCOL:
    unsafe Socket(wsi!).boundConnection?.lwsCloses()
    return 0

  case LWS_CALLBACK_TIMER:
    return unsafe Socket(wsi!).boundConnection?.timedOut() ?? true ? 0 : -1

  case LWS_CALLBACK_CLOSED:
    unsafe Socket(wsi!).boundConnection?.ended()
    return 0

  case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
    return unsafe LwsRequestHandler(wsi!).admitsUpgrade(data) ? 0 : -1

  case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
    unsafe Context.of(wsi!)?.loop?.wasAdopted(Socket(wsi!))
    return 0

  case LWS_CALLBACK_FILTER_HTTP_CONNECTION:
    return unsafe LwsRequestHandler(wsi!).admitsRequest(data) ? 0 : -1

  case LWS_CALLBACK_HTTP:
    return unsafe LwsRequestHandler(wsi!).answersUnserved() ? 0 : -1

  case LWS_CALLBACK_RAW_RX:
    unsafe LwsRequestHandler(wsi!).rejectUnknown()
    return -1

  case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS:
    unsafe Certificate.of(vhost: data).install(in: user)
    return 0

  case LWS_CALLBACK_WSI_DESTROY:
    // A handshake that fails while it is answered ends here, without LWS_CALLBACK_CLOSED.
    unsafe Socket(wsi!).boundConnection?.ended()
    unsafe Context.of(wsi!)?.loop?.ended(Socket(wsi!))
    return 0

  default:
    return unsafe lws_callback_http_dummy(wsi, reason, user, data, length)
  }
}
