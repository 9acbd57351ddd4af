BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0005');
CREATE TABLE api_keys (
	key_id TEXT NOT NULL, 
	tenant_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	scopes TEXT NOT NULL, 
	ring_key_id TEXT NOT NULL, 
	verifier BLOB NOT NULL, 
	created_at BIGINT NOT NULL, 
	revoked_at BIGINT, 
	PRIMARY KEY (key_id), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id)
);
INSERT INTO "api_keys" VALUES('golden','ten_golden','test','profiles:read profiles:write sessions:lease','apikey-d8677066',X'7676767676767676767676767676767676767676767676767676767676767676',1760000000000000,NULL);
CREATE TABLE connections (
	tenant_id TEXT NOT NULL, 
	profile_key TEXT NOT NULL, 
	platform TEXT NOT NULL, 
	account_id TEXT NOT NULL, 
	username TEXT NOT NULL, 
	display_name TEXT NOT NULL, 
	origin TEXT NOT NULL, 
	generation BIGINT NOT NULL, 
	state TEXT NOT NULL, 
	reconnect_reason TEXT, 
	connected_at BIGINT NOT NULL, 
	last_verified_at BIGINT NOT NULL, 
	next_check_at BIGINT, checked_at BIGINT, document_at BIGINT DEFAULT '0' NOT NULL, moved_at BIGINT, doubts BIGINT DEFAULT '0' NOT NULL, refusals BIGINT DEFAULT '0' NOT NULL, login_after BIGINT, profile_created_at BIGINT, rejections BIGINT DEFAULT '0' NOT NULL, 
	PRIMARY KEY (tenant_id, profile_key, platform), 
	FOREIGN KEY(tenant_id, profile_key) REFERENCES profiles (tenant_id, profile_key) ON DELETE CASCADE
);
INSERT INTO "connections" VALUES('ten_golden','prof_well','bluesky','did:plc:prof_well','well.example','well.example','https://pds.example',5,'UNVERIFIED',NULL,1760000000000001,1760000000000011,1760003600000000,1760000000000011,1760000000000000,NULL,1,2,1760003600000000,1760000000000001,0);
INSERT INTO "connections" VALUES('ten_golden','prof_broken','bluesky','did:plc:prof_broken','renamed.example','renamed.example','https://pds.example',2,'BROKEN','APP_PASSWORD_REVOKED',1760000000000002,1760000000000011,1760003600000000,1760000000000011,1760000000000000,NULL,1,2,1760003600000000,1760000000000002,0);
CREATE TABLE credentials (
	tenant_id TEXT NOT NULL, 
	profile_key TEXT NOT NULL, 
	platform TEXT NOT NULL, 
	generation BIGINT NOT NULL, 
	ring_key_id TEXT NOT NULL, 
	envelope BLOB NOT NULL, 
	PRIMARY KEY (tenant_id, profile_key, platform), 
	FOREIGN KEY(tenant_id, profile_key, platform) REFERENCES connections (tenant_id, profile_key, platform) ON DELETE CASCADE
);
INSERT INTO "credentials" VALUES('ten_golden','prof_well','bluesky',5,'seal-0ad77128',X'0204C060C270B59C6D61D310C11AAE98D3516943DEB4E55D5883BAA1D7E5A0BAA82EEB15D8A5010E37C0EE2ECACEE198468638B48CF98375A7C66C66F0CFF693AFEB8ECBF33321E513B7C332ED74C42ECD8FFFC0D90ED2C2460CE030AB48182AFE76FB7FE74D948A630837EBA2C710B642164DA08DFD6B17F45824276DD0FD82CE32');
INSERT INTO "credentials" VALUES('ten_golden','prof_broken','bluesky',2,'seal-0ad77128',X'025A8CD261DD2ADB40B1909FCE01C32BF6A331A2F78DD3460ED2BDC7AC6716F2DE1E473620F789ECF60B74FBF1CBBBFFD7FF894627914AE60E5DE2B1402EBF8F13D38DB0B40545B640618D11FA843005A7F19A813BA894DF9F5BE08B5742FBBB4C31C2F25D17D2EBA9F639B8B994FC04BBFA445A78651B63671260188A7CC5C21A9E6E22');
CREATE TABLE event_marks (
	tenant_id TEXT NOT NULL, 
	number BIGINT NOT NULL, 
	at BIGINT NOT NULL, 
	PRIMARY KEY (tenant_id, number), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);
INSERT INTO "event_marks" VALUES('ten_golden',10,1760000000000030);
CREATE TABLE events (
	tenant_id TEXT NOT NULL, 
	number BIGINT NOT NULL, 
	kind TEXT NOT NULL, 
	profile_key TEXT NOT NULL, 
	connection TEXT, 
	occurred_at BIGINT, 
	PRIMARY KEY (tenant_id, number), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id)
);
INSERT INTO "events" VALUES('ten_golden',1,'CONNECTED','prof_well','{"platform": "bluesky", "account_id": "did:plc:prof_well", "username": "well.example", "display_name": "well.example", "state": "HEALTHY", "reconnect_reason": null, "connected_at": 1760000000000001, "last_verified_at": 1760000000000001, "next_check_at": 1760021600000000}',1760000000000001);
INSERT INTO "events" VALUES('ten_golden',2,'CONNECTED','prof_broken','{"platform": "bluesky", "account_id": "did:plc:prof_broken", "username": "broken.example", "display_name": "broken.example", "state": "HEALTHY", "reconnect_reason": null, "connected_at": 1760000000000002, "last_verified_at": 1760000000000002, "next_check_at": 1760021600000000}',1760000000000002);
INSERT INTO "events" VALUES('ten_golden',3,'CONNECTED','prof_ended','{"platform": "bluesky", "account_id": "did:plc:prof_ended", "username": "ended.example", "display_name": "ended.example", "state": "HEALTHY", "reconnect_reason": null, "connected_at": 1760000000000003, "last_verified_at": 1760000000000003, "next_check_at": 1760021600000000}',1760000000000003);
INSERT INTO "events" VALUES('ten_golden',4,'CONNECTED','prof_gone',NULL,NULL);
INSERT INTO "events" VALUES('ten_golden',5,'RECONNECTED','prof_well','{"platform": "bluesky", "account_id": "did:plc:prof_well", "username": "well.example", "display_name": "well.example", "state": "HEALTHY", "reconnect_reason": null, "connected_at": 1760000000000001, "last_verified_at": 1760000000000005, "next_check_at": 1760021600000000}',1760000000000005);
INSERT INTO "events" VALUES('ten_golden',6,'BROKEN','prof_broken','{"platform": "bluesky", "account_id": "did:plc:prof_broken", "username": "renamed.example", "display_name": "renamed.example", "state": "BROKEN", "reconnect_reason": "APP_PASSWORD_REVOKED", "connected_at": 1760000000000002, "last_verified_at": 1760000000000011, "next_check_at": 1760003600000000}',1760000000000011);
INSERT INTO "events" VALUES('ten_golden',7,'HANDLE_CHANGED','prof_broken','{"platform": "bluesky", "account_id": "did:plc:prof_broken", "username": "renamed.example", "display_name": "renamed.example", "state": "BROKEN", "reconnect_reason": "APP_PASSWORD_REVOKED", "connected_at": 1760000000000002, "last_verified_at": 1760000000000011, "next_check_at": 1760003600000000}',1760000000000011);
INSERT INTO "events" VALUES('ten_golden',8,'UNVERIFIED','prof_well','{"platform": "bluesky", "account_id": "did:plc:prof_well", "username": "well.example", "display_name": "well.example", "state": "UNVERIFIED", "reconnect_reason": null, "connected_at": 1760000000000001, "last_verified_at": 1760000000000011, "next_check_at": 1760003600000000}',1760000000000011);
INSERT INTO "events" VALUES('ten_golden',9,'DISCONNECTED','prof_ended','{"platform": "bluesky", "account_id": "did:plc:prof_ended", "username": "ended.example", "display_name": "ended.example", "state": "HEALTHY", "reconnect_reason": null, "connected_at": 1760000000000003, "last_verified_at": 1760000000000003, "next_check_at": 1760021600000000}',1760000000000020);
INSERT INTO "events" VALUES('ten_golden',10,'DISCONNECTED','prof_gone',NULL,NULL);
CREATE TABLE facts (
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "facts" VALUES('canary','seal-0ad77128 02d2768db16f313fce39eeadc5211db2adf847552f100e90d1d0548eec2b5046f813689d4cd46e4f7589bc38ad6c942f01b0392d62f3bedcd85b46c82735e3d42c87e3338722b775ac45ad3297e9ab4b4fe8317910b4396788fac3151798d73ce540f35653031bf213597dd1ce2af4ec8b53d80cef8370addb56f2dd1c188c5c59b3f1f6d8c256b2618f21f3b6422573966dee289cc3d8d16b966aea0cf17e99399736');
INSERT INTO "facts" VALUES('canary seal-0ad77128','95766aefffb432e255b616268a2dc7758fb9af0a72bc577466bc2a80dd47626c');
INSERT INTO "facts" VALUES('canary apikey-d8677066','b8c3b68fb31235aabfe5240563e1949a1925b49c1a8ea5c7afd18088858d0b5d');
INSERT INTO "facts" VALUES('canary token-875833a1','7343766f55255110d7e1fccc6f0697963264dcd4a2405dfdc8a76861bd53b21a');
INSERT INTO "facts" VALUES('mode','live');
CREATE TABLE idempotency_records (
	tenant_id TEXT NOT NULL, 
	method TEXT NOT NULL, 
	idempotency_key TEXT NOT NULL, 
	holder TEXT NOT NULL, 
	ring_key_id TEXT NOT NULL, 
	digest BLOB NOT NULL, 
	profile_key TEXT, 
	reply TEXT, 
	expires_at BIGINT NOT NULL, 
	PRIMARY KEY (tenant_id, method, idempotency_key), 
	FOREIGN KEY(tenant_id, profile_key) REFERENCES profiles (tenant_id, profile_key) ON DELETE CASCADE
);
INSERT INTO "idempotency_records" VALUES('ten_golden','CreateProfile','create','holder','token-875833a1',X'3E34ACD26347271021ACCC5B9FC3EFF31C42F50F3F1A7142C94D071C9204C24C','prof_empty','["prof_empty", "Empty \u263a"]',1760086400000000);
INSERT INTO "idempotency_records" VALUES('ten_golden','ConnectProfile','connect','holder','token-875833a1',X'B9DBB75504315DF70A9370CF5A3E71E08DEA2C76BC848CD7034E12C05F211DD5','prof_well','["prof_well", "bluesky", "well.example"]',1760086400000001);
CREATE TABLE leases (
	at BIGINT NOT NULL, 
	tenant_id TEXT NOT NULL, 
	key_id TEXT NOT NULL, 
	profile_key TEXT NOT NULL, 
	platform TEXT NOT NULL, 
	account_id TEXT NOT NULL, 
	expires_at BIGINT NOT NULL
);
INSERT INTO "leases" VALUES(1760000000000012,'ten_golden','golden','prof_well','bluesky','did:plc:prof_well',1760003600000000);
CREATE TABLE login_debits (
	account_id TEXT NOT NULL, 
	origin TEXT NOT NULL, 
	tenant_id TEXT NOT NULL, 
	purpose TEXT NOT NULL, 
	at BIGINT NOT NULL
);
INSERT INTO "login_debits" VALUES('did:plc:prof_well','https://pds.example','ten_golden','connect',1760000000000000);
CREATE TABLE login_pauses (
	account_id TEXT NOT NULL, 
	origin TEXT NOT NULL, 
	until BIGINT NOT NULL, 
	PRIMARY KEY (account_id, origin)
);
INSERT INTO "login_pauses" VALUES('did:plc:prof_broken','https://pds.example',1760003600000000);
CREATE TABLE profiles (
	profile_key TEXT NOT NULL, 
	tenant_id TEXT NOT NULL, 
	profile_name TEXT, 
	created_at BIGINT NOT NULL, 
	PRIMARY KEY (profile_key), 
	FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id)
);
INSERT INTO "profiles" VALUES('prof_empty','ten_golden','Empty ☺',1760000000000000);
INSERT INTO "profiles" VALUES('prof_well','ten_golden',NULL,1760000000000001);
INSERT INTO "profiles" VALUES('prof_broken','ten_golden',NULL,1760000000000002);
INSERT INTO "profiles" VALUES('prof_ended','ten_golden',NULL,1760000000000003);
CREATE TABLE sessions (
	tenant_id TEXT NOT NULL, 
	profile_key TEXT NOT NULL, 
	platform TEXT NOT NULL, 
	generation BIGINT NOT NULL, 
	ring_key_id TEXT NOT NULL, 
	envelope BLOB NOT NULL, 
	expires_at BIGINT NOT NULL, refreshed_at BIGINT DEFAULT '0' NOT NULL, fence BIGINT DEFAULT '0' NOT NULL, claimed_until BIGINT DEFAULT '0' NOT NULL, 
	PRIMARY KEY (tenant_id, profile_key, platform), 
	FOREIGN KEY(tenant_id, profile_key, platform) REFERENCES connections (tenant_id, profile_key, platform) ON DELETE CASCADE
);
INSERT INTO "sessions" VALUES('ten_golden','prof_well','bluesky',5,'seal-0ad77128',X'022A71D534E07C17C6820CE4ACC20D0CFA8238474479A94E341DA4AE4984AC87F85514A948A9C1D55B56F89A6142DC1F55DEE069FEC3B806D3FD816A47063FFDC0F5159B7338F0421763EE1F0A2995D6A41D1037CB56EFCBED9F02738D2CFDBF848B4EF1E9FD5CF0E5B2C5A9EB32CA6F43D5535530BD54F7193A770490EC5F9A16F64553EA4E26A0189A49210A7A2500849D47295CE6E6D1C2C594AA6042CFB63E2087FEA81AA759',1760003600000000,1760000000000005,2,0);
INSERT INTO "sessions" VALUES('ten_golden','prof_broken','bluesky',2,'seal-0ad77128',X'02B5443C5A514C985149AC07EF75F3FB4F555E37C1FBE55E6D5DF30AB4751996F4A688C99D87B9D1F389115380F47739B8A58B86EBCF41241DEA04AE9C7702943D4DAEA127092A29C7FDD7CB4951298F8FE56F6BC5037F7776BE1B560DA7EEB925D96A878BEEEC912E5361E4DDF32BF8CBA132CE3F1B50C839F40A92C91BB65AD1DCF7490CC5592BDD5C24ECDD61E425301043F4C572371687A1D32284B4DD6F6F6F10E07CF3B798CF4E731E',1760003600000000,1760000000000002,1,0);
CREATE TABLE tenants (
	tenant_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	last_event BIGINT DEFAULT '0' NOT NULL, 
	PRIMARY KEY (tenant_id)
);
INSERT INTO "tenants" VALUES('ten_golden','golden',1760000000000000,10);
CREATE INDEX api_keys_of_tenant ON api_keys (tenant_id, created_at, key_id);
CREATE UNIQUE INDEX profiles_of_tenant_by_key ON profiles (tenant_id, profile_key);
CREATE INDEX profiles_in_order ON profiles (tenant_id, created_at, profile_key);
CREATE INDEX connections_of_account ON connections (tenant_id, account_id, origin);
CREATE INDEX credentials_by_keyring_key ON credentials (ring_key_id);
CREATE INDEX sessions_by_keyring_key ON sessions (ring_key_id);
CREATE INDEX idempotency_records_by_expiry ON idempotency_records (tenant_id, expires_at);
CREATE INDEX idempotency_records_of_profile ON idempotency_records (tenant_id, profile_key);
CREATE INDEX events_of_profile ON events (tenant_id, profile_key);
CREATE INDEX login_debits_of_account ON login_debits (account_id, origin, at);
CREATE INDEX login_debits_by_age ON login_debits (at);
CREATE INDEX login_pauses_by_end ON login_pauses (until);
CREATE INDEX connections_due ON connections (next_check_at);
CREATE INDEX connections_due_of_tenant ON connections (tenant_id, next_check_at);
CREATE INDEX leases_by_age ON leases (at);
CREATE INDEX leases_of_tenant ON leases (tenant_id, at);
CREATE INDEX event_marks_by_age ON event_marks (at);
CREATE INDEX connections_to_reconnect ON connections (tenant_id, profile_created_at, profile_key) WHERE reconnect_reason IS NOT NULL;
COMMIT;
