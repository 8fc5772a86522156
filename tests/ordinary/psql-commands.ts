/** Every backslash command of psql that asks the server something. */
export const PSQL_COMMANDS = [
  ..."d,d+,d orders,d+ orders,d customers,d+ customers,d items,d+ feelings,d open_orders,d+ open_orders,d+ per_status".split(
    ",",
  ),
  ..."d tickets,d orders_by_status,dS+ pg_class,da,dA,dA+,dAc,dAf,dAo btree,dAp btree,db,dc,dC,dd,dD,dD+,ddp,dE".split(
    ",",
  ),
  ..."des,det,deu,dew,df,df+ twice,dfn public.*,dF,dFd,dFp,dFt,dg,di,di+,dl,dL,dL+,dm,dm+,dn,dn+,do,dO,dp,dP,dP+".split(
    ",",
  ),
  ..."drds,dRp,dRs,ds,ds+,dt,dt+,dt *.*,dT,dT+,du,dv,dv+,dx,dx+,dX,dy,l,sf twice,sf+ twice,sv open_orders,z,lo_list".split(
    ",",
  ),
  "df pg_catalog.abs",
  "encoding",
].map((command) => `\\${command}`);
